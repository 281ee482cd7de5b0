/* SPDX-License-Identifier: MIT */
#include "serve/look_up.h"

#include "base/error.h"
#include "base/text.h"
#include "catalog/entry.h"
#include "serve/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void found_done(struct found *found)
{
	manifest_done(&found->manifest);
	version_row_done(&found->row);
}

bool found_is_folder(const struct found *found)
{
	return found->top || found->manifest.type == ENTRY_DIRECTORY;
}

static int check_reach(const struct request *request, bool ways, struct error *err)
{
	const struct bytes *key = &request->key;

	if (ways &&
	    token_reach(&request->token, key->data, key->size) == TOKEN_LEADS_THERE)
		return 0;
	return request_check_reach(request, key->data, key->size, err);
}

/* Version @number of what is or was at the key. CATALOG_END. */
static int find_version(struct request *request, uint64_t number,
			struct version_row *row_out, struct error *err)
{
	const struct bytes *key = &request->key;
	uint32_t last;
	int64_t node = 0;
	int r;

	r = catalog_last_version(request->catalog, key->data, key->size, &last, err);
	if (r < 0 || number > last)
		return r < 0 ? r : CATALOG_END;
	for (size_t at = 0; at <= key->size;) {
		const struct bytes name = {
			.data = key->data + at,
			.size = strnlen((const char *)key->data + at, key->size - at),
		};

		r = entry_child_node(request->catalog, node, &name, &node, err);
		if (r != 0)
			return r;
		at += name.size + 1;
	}
	return entry_version(request->catalog, node, (uint32_t)number, row_out, err);
}

int look_up(struct request *request, uint64_t at, uint64_t number, bool ways,
	    struct found *found_out, struct error *err)
{
	const struct bytes *key = &request->key;
	autofound found = { 0 };
	int r;

	r = check_reach(request, ways, err);
	if (r < 0)
		return r;
	if (key->size == 0 && number == 0) {
		*found_out = (struct found){ .top = true };
		return 0;
	}
	if (!key_valid(key->data, key->size))
		return error_set(err, -ENOENT, "no such path in the archive");
	r = request_take_catalog(request, err);
	if (r == 0)
		r = number ? find_version(request, number, &found.row, err)
			   : catalog_get_version(request->catalog, key->data, key->size,
						 at, &found.row, err);
	if (r == CATALOG_END)
		return number ? error_set(err, -ENOENT, "there is no version %" PRIu64,
					  number)
			      : error_set(err, -ENOENT, "no such path in the archive");
	if (r == 0)
		r = manifest_decode(found.row.line, found.row.line_size, &found.manifest,
				    err);
	if (r < 0)
		return r;
	*found_out = found;
	found = (struct found){ 0 };
	return 0;
}

struct bytes look_up_only(const struct request *request)
{
	const struct bytes *prefix = &request->token.prefix;
	const struct bytes *key = &request->key;
	size_t skip = key->size ? key->size + 1 : 0;
	struct bytes only = { 0 };

	if (token_reach(&request->token, key->data, key->size) != TOKEN_LEADS_THERE)
		return only;
	only.data = prefix->data + skip;
	only.size = strnlen((const char *)only.data, prefix->size - skip);
	return only;
}

bool look_up_shows(const struct bytes *only, const struct version_row *row)
{
	return !only->data || (only->size == row->name.size &&
			       memcmp(only->data, row->name.data, only->size) == 0);
}

/* Forget the path that names the inode, if the token does not reach it. */
static void hide_link(const struct request *request, struct manifest *manifest)
{
	struct bytes key = { 0 };
	autotext struct text path = { 0 };

	if (text_append_bytes(&path, manifest->link.data, manifest->link.size) == 0 &&
	    key_from_path(text_string(&path), &key, NULL) == 0 &&
	    token_reach(&request->token, key.data, key.size) == TOKEN_REACHES) {
		free(key.data);
		return;
	}
	free(key.data);
	free(manifest->link.data);
	manifest->link = (struct bytes){ 0 };
}

static int append_filtered(const struct request *request, const struct version_row *row,
			   struct text *text, struct error *err)
{
	struct manifest manifest = { 0 };
	int r;

	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	if (manifest.link.size > 0)
		hide_link(request, &manifest);
	free(manifest.source.data);
	manifest.source = (struct bytes){ 0 };
	r = manifest_encode(&manifest, text, err);
	manifest_done(&manifest);
	if (r == 0)
		text_truncate(text, text->size - 1);
	return r;
}

int look_up_line(const struct request *request, const struct version_row *row,
		 struct text *text, struct error *err)
{
	if (request->token.restricted)
		return append_filtered(request, row, text, err);
	if (text_append_bytes(text, row->line, row->line_size) < 0)
		return error_set(err, -ENOMEM, "no memory for an answer");
	return 0;
}
