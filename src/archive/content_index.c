/* SPDX-License-Identifier: MIT */
/* Every file that is already written is in the catalog, those of the commit in the making
 * included, so the catalog answers. But a first commit would ask it once for each file, in
 * vain. So this module remembers what the commit has stored in a Bloom filter: if the
 * archive was empty before, and the filter has not seen a content, there is no need to ask.
 * A wrong "perhaps" costs one look-up. With 8 Mbit and 3 bits a content one in 30 is wrong
 * at a million contents, and the filter loses its use, but not its truth, beyond a few.
 */
#include "archive/content_index.h"

#include "archive/commit_session.h"
#include "archive/segment_writer.h"
#include "base/error.h"
#include "catalog/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	FILTER_BITS = 8 * 1024 * 1024,
	FILTER_HASHES = 3,
};

struct content_index {
	struct commit_session *session;
	struct segment_writer *segments;
	bool was_empty; /* the archive, before this commit */
	uint64_t filter[FILTER_BITS / 64];
};

int content_index_new(struct commit_session *session, struct segment_writer *segments,
		      struct content_index **index_out, struct error *err)
{
	struct content_index *index = calloc(1, sizeof(*index));

	if (!index)
		return error_set(err, -ENOMEM, "no memory for an index");
	index->session = session;
	index->segments = segments;
	index->was_empty = commit_session_base(session)->sequence == 0;
	*index_out = index;
	return 0;
}

void content_index_free(struct content_index *index)
{
	free(index);
}

static uint32_t filter_bit(const struct hash *hash, unsigned i)
{
	uint32_t bit;

	memcpy(&bit, hash->bytes + i * sizeof(bit), sizeof(bit));
	return bit % FILTER_BITS;
}

void content_index_note(struct content_index *index, const struct hash *hash)
{
	for (unsigned i = 0; i < FILTER_HASHES; i++) {
		uint32_t bit = filter_bit(hash, i);

		index->filter[bit / 64] |= UINT64_C(1) << bit % 64;
	}
}

static bool may_exist(const struct content_index *index, const struct hash *hash)
{
	if (!index->was_empty)
		return true;
	for (unsigned i = 0; i < FILTER_HASHES; i++) {
		uint32_t bit = filter_bit(hash, i);

		if (!(index->filter[bit / 64] >> bit % 64 & 1))
			return false;
	}
	return true;
}

static int check(struct content_index *index, const struct pack_place *pack,
		 struct pack_place *place_out, bool *found_out, struct error *err)
{
	if (hash_is_zero(&pack->segment))
		return 0;
	*place_out = *pack;
	return segment_writer_usable(index->segments, &pack->segment, 0, found_out, err);
}

static int find_in_catalog(struct content_index *index, const struct hash *hash,
			   uint64_t size, struct pack_place *place_out, bool *found_out,
			   struct error *err)
{
	struct catalog *catalog = commit_session_catalog(index->session);
	struct version_row row = { 0 };
	struct manifest manifest = { 0 };
	int r;

	r = catalog_find_content(catalog, hash, size, &row, err);
	if (r == CATALOG_END)
		return 0;
	if (r < 0)
		return r;
	r = manifest_decode(row.line, row.line_size, &manifest, err);
	version_row_done(&row);
	if (r < 0)
		return r;
	r = check(index, &manifest.pack, place_out, found_out, err);
	manifest_done(&manifest);
	return r;
}

int content_index_find(struct content_index *index, const struct hash *hash,
		       uint64_t size, const struct manifest *previous,
		       struct pack_place *place_out, bool *found_out, struct error *err)
{
	int r;

	*found_out = false;
	if (previous && previous->type == ENTRY_FILE && previous->size == size &&
	    hash_equal(&previous->hash, hash)) {
		r = check(index, &previous->pack, place_out, found_out, err);
		if (r < 0 || *found_out)
			return r;
	}
	if (!may_exist(index, hash))
		return 0;
	return find_in_catalog(index, hash, size, place_out, found_out, err);
}

int content_index_find_xattr(struct content_index *index,
			     const struct manifest_xattr *xattr,
			     const struct manifest *previous,
			     struct pack_place *place_out, bool *found_out,
			     struct error *err)
{
	*found_out = false;
	for (size_t i = 0; previous && i < previous->xattr_count; i++) {
		const struct manifest_xattr *other = &previous->xattrs[i];

		if (other->size == xattr->size &&
		    hash_equal(&other->hash, &xattr->hash) &&
		    other->name.size == xattr->name.size &&
		    memcmp(other->name.data, xattr->name.data, xattr->name.size) == 0)
			return check(index, &other->pack, place_out, found_out, err);
	}
	return 0;
}
