/* SPDX-License-Identifier: MIT */
#include "cli/version_lookup.h"

#include "archive/archive.h"
#include "base/error.h"
#include "catalog/listing.h"
#include "cli/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static int find_numbered(struct catalog *catalog, const struct bytes *key,
			 uint64_t number, struct version_row *row, struct error *err)
{
	autoptr(listing) listing = NULL;
	int r;

	r = listing_versions(catalog, key->data, key->size, &listing, err);
	if (r < 0)
		return r;
	while ((r = listing_next(listing, row, err)) == 0)
		if (row->version == number)
			return 0;
	return r;
}

int version_lookup(struct archive *archive, const char *path, uint64_t number,
		   uint64_t at, struct version_row *row_out,
		   struct manifest *manifest_out, struct error *err)
{
	struct catalog *catalog = archive_catalog(archive);
	struct version_row row = { 0 };
	struct bytes key = { 0 };
	int r;

	r = path_argument_key(path, &key, err);
	if (r == 0 && number)
		r = find_numbered(catalog, &key, number, &row, err);
	else if (r == 0)
		r = catalog_get_version(catalog, key.data, key.size, at, &row, err);
	free(key.data);

	if (r == CATALOG_END)
		r = number ? error_set(err, -ENOENT, "there is no version %" PRIu64,
				       number)
			   : error_set(err, -ENOENT, "no such path in the archive");
	if (r == 0)
		r = manifest_decode(row.line, row.line_size, manifest_out, err);
	if (r < 0) {
		version_row_done(&row);
		return error_prefix(err, r, "'%s'", path);
	}
	*row_out = row;
	return 0;
}
