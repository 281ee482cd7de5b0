/* SPDX-License-Identifier: MIT */
/* Versions of a path, manifests, and the chain of heads. Heads are sent byte for byte: their
 * hash is that of these bytes. */
#include "serve/op.h"

#include "base/error.h"
#include "base/text.h"
#include "catalog/entry.h"
#include "catalog/listing.h"
#include "serve/answer.h"
#include "serve/look_up.h"
#include "serve/parameter.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int no_memory(struct error *err)
{
	return error_set(err, -ENOMEM, "no memory for an answer");
}

/* Versions. */

static int append_version(struct request *request, const struct version_row *row,
			  struct text *text, struct error *err)
{
	int r;

	r = text_appendf(text, "\n{\"version\":%" PRIu32 ",\"first\":\"%" PRIu64 "\",",
			 row->version, row->first);
	if (r == 0 && row->end != VERSION_CURRENT)
		r = text_appendf(text, "\"end\":\"%" PRIu64 "\",", row->end);
	if (r == 0)
		r = text_append(text, "\"manifest\":");
	if (r == 0)
		r = look_up_line(request, row, text, err);
	return r < 0 ? r : text_append(text, "}");
}

/* Those above version *cursor, which becomes the last one that was written, and @full whether
 * there are more. */
static int append_versions(struct request *request, struct text *text, uint64_t *cursor,
			   bool *full, struct error *err)
{
	const struct bytes *key = &request->key;
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	bool any = false;
	uint64_t after = *cursor;
	int r;

	*full = false;
	r = listing_versions(request->catalog, key->data, key->size, &listing, err);
	while (r == 0 && (r = listing_next(listing, &row, err)) == 0) {
		any = true;
		if (row.version <= after)
			continue;
		*full = text->size >= SERVER_BLOCK_SIZE;
		if (*full)
			break;
		if (*cursor != after && text_append(text, ",") < 0)
			r = -ENOMEM;
		if (r == 0)
			r = append_version(request, &row, text, err);
		*cursor = row.version;
	}
	version_row_done(&row);
	if (r == CATALOG_END)
		r = any ? 0 : error_set(err, -ENOENT, "no such path in the archive");
	return r;
}

int op_versions(struct request *request, struct error *err)
{
	const struct bytes *key = &request->key;
	autotext struct text text = { 0 };
	uint64_t cursor;
	bool full;
	int r;

	r = request_check_reach(request, key->data, key->size, err);
	if (r == 0 && !key_valid(key->data, key->size))
		r = error_set(err, -ENOENT, "no such path in the archive");
	if (r == 0)
		r = parameter_number(request, "cursor", 0, UINT32_MAX, &cursor, err);
	if (r == 0)
		r = request_take_catalog(request, err);
	if (r == 0 && text_append(&text, "{\"versions\":[") < 0)
		r = no_memory(err);
	if (r == 0)
		r = append_versions(request, &text, &cursor, &full, err);
	if (r == 0 && full)
		r = text_appendf(&text, "\n],\"cursor\":\"%" PRIu64 "\"}\n", cursor);
	else if (r == 0)
		r = text_append(&text, "\n]}\n");
	return r < 0 ? r : answer_text(request, 200, "application/json", &text, err);
}

int op_manifest(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	autofound found = { 0 };
	uint64_t number;
	uint64_t at;
	int r;

	r = parameter_number(request, "version", 0, UINT32_MAX, &number, err);
	if (r == 0)
		r = parameter_commit(request, false, &at, err);
	if (r == 0)
		r = look_up(request, at, number, false, &found, err);
	if (r == 0 && found.top)
		r = error_set(err, -ENOENT, "the top of the archive has no manifest");
	if (r == 0)
		r = look_up_line(request, &found.row, &text, err);
	if (r == 0 && text_append(&text, "\n") < 0)
		r = no_memory(err);
	return r < 0 ? r : answer_text(request, 200, "application/json", &text, err);
}

/* Names of one file. They are a hint for clients, who look each one up by itself, so those of
 * a file that has very many may be left out. */

#define NAMES_MAX (2u << 20) /* bytes, and a line; clients take twice as much */

struct naming {
	struct text text;
	const struct manifest *manifest;
};

/* The table of links has a hash of the path only: the manifest says whether it is that one. */
static int append_name(void *context, const struct version_row *row, struct error *err)
{
	struct naming *naming = context;
	struct manifest other = { 0 };
	int r;

	if (naming->text.size > NAMES_MAX)
		return 0;
	r = manifest_decode(row->line, row->line_size, &other, err);
	if (r < 0)
		return r;
	if (other.link.size == naming->manifest->link.size &&
	    (other.link.size == 0 || memcmp(other.link.data, naming->manifest->link.data,
					    other.link.size) == 0) &&
	    (text_append_bytes(&naming->text, row->line, row->line_size) < 0 ||
	     text_append_char(&naming->text, '\n') < 0))
		r = no_memory(err);
	manifest_done(&other);
	return r;
}

static int append_names(struct request *request, const struct found *found, uint64_t at,
			struct naming *naming, struct error *err)
{
	naming->manifest = &found->manifest;
	if (found->manifest.link.size == 0)
		return append_name(naming, &found->row, err);
	return entry_visit_names(request->catalog, &found->manifest.link,
				 found->manifest.inode, at, append_name, naming, err);
}

int op_names(struct request *request, struct error *err)
{
	struct naming naming = { 0 };
	autofound found = { 0 };
	uint64_t at;
	int r;

	r = parameter_commit(request, false, &at, err);
	if (r == 0)
		r = look_up(request, at, 0, false, &found, err);
	if (r == 0 && found.top)
		r = error_set(err, -ENOENT, "the top of the archive has no other names");
	if (r == 0)
		r = append_names(request, &found, at, &naming, err);
	if (r == 0)
		r = answer_text(request, 200, "application/x-ndjson", &naming.text, err);
	text_done(&naming.text);
	return r;
}

/* Heads. */

static int add_hash(struct request *request, const struct hash *hash, struct error *err)
{
	char etag[HASH_HEX_SIZE + 2] = "\"";

	hash_to_hex(hash, etag + 1);
	(void)strncat(etag, "\"", 2);
	return answer_header(request, "ETag", etag, err);
}

int op_head(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	struct commit_row commit = { 0 };
	int r;

	r = request_take_catalog(request, err);
	if (r == 0)
		r = catalog_get_commit(request->catalog, VERSION_CURRENT, &commit, err);
	if (r == CATALOG_END)
		r = error_set(err, -ENOENT, "there is no commit");
	if (r == 0 && text_append(&text, commit.head) < 0)
		r = no_memory(err);
	if (r == 0)
		r = answer_text(request, 200, "application/json", &text, err);
	if (r == 0)
		r = add_hash(request, &commit.hash, err);
	commit_row_done(&commit);
	return r;
}

static int append_heads(struct request *request, uint64_t from, uint64_t until,
			struct text *text, struct error *err)
{
	struct commit_row commit = { 0 };
	int r = 0;

	while (r == 0 && from <= until && text->size < SERVER_BLOCK_SIZE) {
		r = catalog_next_commit(request->catalog, from, &commit, err);
		if (r != 0 || commit.sequence > until)
			break;
		from = commit.sequence + 1;
		r = text_appendf(text, "%s\n", commit.head);
		commit_row_done(&commit);
	}
	commit_row_done(&commit);
	return r == CATALOG_END ? 0 : r;
}

int op_commits(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	uint64_t until;
	uint64_t from;
	int r;

	r = parameter_number(request, "from", 0, INT64_MAX - 1, &from, err);
	if (r == 0)
		r = parameter_number(request, "until", INT64_MAX - 1, INT64_MAX - 1,
				     &until, err);
	if (r == 0)
		r = request_take_catalog(request, err);
	if (r == 0 && text_reserve(&text, 1) < 0)
		r = no_memory(err);
	if (r == 0)
		r = append_heads(request, from, until, &text, err);
	return r < 0 ? r : answer_text(request, 200, "application/x-ndjson", &text, err);
}
