/* SPDX-License-Identifier: MIT */
/* A path's versions never overlap, so the newest one decides everything: it is the current
 * one, or there is none. Putting and ending look at that row alone.
 *
 * Within one commit the last word counts: what is put twice is replaced, and what is put and
 * ended in the same commit was never there.
 */
#include "catalog/history.h"

#include "base/error.h"
#include "catalog/handle.h"
#include "catalog/link.h"
#include "catalog/partial.h"
#include "catalog/version.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char sql_last[] = "SELECT " VERSION_COLUMNS " FROM version v"
			       " WHERE v.node = ? ORDER BY v.first DESC LIMIT 1";
static const char sql_at[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE " FROM version v" VERSION_JOIN_LINE
	" WHERE v.node = ? AND v.first <= ? ORDER BY v.first DESC LIMIT 1";
static const char sql_content[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE
	" FROM version v INDEXED BY version_content" VERSION_JOIN_LINE
	" WHERE v.content = ? AND v.hash = ? AND v.size = ?"
	" ORDER BY v.first DESC LIMIT 1";

void version_row_done(struct version_row *version)
{
	free(version->name.data);
	free(version->line);
	*version = (struct version_row){ 0 };
}

/* The newest version of @node. CATALOG_END. */
static int read_last(struct catalog *catalog, const struct node *node, const uint8_t *key,
		     size_t key_size, struct stored_version *version_out,
		     struct error *err)
{
	autostatement struct statement s = { 0 };
	size_t name_size = key_name_size(key, key_size);
	int r;

	statement_begin(&s, catalog, sql_last);
	statement_bind_i64(&s, node->id);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	return version_read(&s, node, key + key_size - name_size, name_size, false,
			    version_out, err);
}

/* Make way for a version from @sequence on, or for none. */
static int end_last(struct catalog *catalog, struct stored_version *last,
		    uint64_t sequence, struct error *err)
{
	if (last->row.first > sequence ||
	    (last->row.end != VERSION_CURRENT && last->row.end > sequence))
		return error_set(err, -EINVAL,
				 "catalog: commit %" PRIu64 " comes too late", sequence);
	if (last->row.first == sequence)
		return version_remove(catalog, last, err);
	if (last->row.end != VERSION_CURRENT)
		return 0;
	return version_end(catalog, last, sequence, err);
}

static int check_line(const struct manifest *manifest, const char *line, size_t line_size,
		      struct error *err)
{
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size;

	if (manifest_decode_key(line, line_size, key, &key_size, err) < 0 ||
	    key_compare(key, key_size, manifest->key.data, manifest->key.size) != 0 ||
	    memchr(line, '\n', line_size))
		return error_set(err, -EINVAL, "catalog: a line of another manifest");
	return 0;
}

static int put_version(struct catalog *catalog, uint64_t sequence,
		       const struct manifest *manifest, const char *line,
		       size_t line_size, struct error *err)
{
	const struct bytes *key = &manifest->key;
	size_t name_size = key_name_size(key->data, key->size);
	struct stored_version last, version;
	struct node node = { 0 };
	bool new = false;
	int r;

	r = node_make(catalog, key->data, key->size, &node, &new, err);
	if (r == 0 && !new) {
		r = read_last(catalog, &node, key->data, key->size, &last, err);
		if (r == 0)
			r = end_last(catalog, &last, sequence, err);
	}
	if (r < 0)
		return r;

	version.row = (struct version_row){
		.node = node.id,
		.parent = node.parent,
		.name = { key->data + key->size - name_size, name_size },
		.first = sequence,
		.end = VERSION_CURRENT,
		.version = manifest->version,
		.type = manifest->type,
		.size = manifest->size,
		.hash = manifest->hash,
		.mtime = manifest->mtime,
		.ctime = manifest->ctime,
		.inode = manifest->inode,
		.line = (char *)(uintptr_t)line, /* borrowed */
		.line_size = line_size,
	};
	r = version_insert(catalog, &version, err);
	if (r == 0 && manifest->type == ENTRY_DIRECTORY)
		r = link_insert_folder(catalog, node.parent, node.id, sequence, err);
	if (r == 0 && manifest->link.size > 0)
		r = link_insert(catalog, node.id, sequence, &manifest->link,
				manifest->inode, err);
	return r;
}

int catalog_put_version(struct catalog *catalog, uint64_t sequence,
			const struct manifest *manifest, const char *line,
			size_t line_size, struct error *err)
{
	bool own;
	int r;

	if (sequence >= COMMIT_MAX)
		return error_set(err, -EINVAL, "catalog: impossible commit");
	r = check_line(manifest, line, line_size, err);
	if (r < 0)
		return r;
	r = catalog_enter(catalog, &own, err);
	if (r < 0)
		return r;
	r = put_version(catalog, sequence, manifest, line, line_size, err);
	return catalog_leave(catalog, own, r, err);
}

static int end_version(struct catalog *catalog, uint64_t sequence, const uint8_t *key,
		       size_t key_size, struct error *err)
{
	struct stored_version last;
	struct node node;
	int r;

	r = node_find(catalog, key, key_size, &node, err);
	if (r == 0)
		r = read_last(catalog, &node, key, key_size, &last, err);
	if (r < 0)
		return r;
	if (r == CATALOG_END || last.row.end != VERSION_CURRENT)
		return error_set(err, -ENOENT, "catalog: no such path");
	return end_last(catalog, &last, sequence, err);
}

int catalog_end_version(struct catalog *catalog, uint64_t sequence, const uint8_t *key,
			size_t key_size, struct error *err)
{
	bool own;
	int r;

	if (sequence >= COMMIT_MAX)
		return error_set(err, -EINVAL, "catalog: impossible commit");
	r = catalog_enter(catalog, &own, err);
	if (r < 0)
		return r;
	r = end_version(catalog, sequence, key, key_size, err);
	return catalog_leave(catalog, own, r, err);
}

static int get_version(struct catalog *catalog, const uint8_t *key, size_t key_size,
		       uint64_t at, struct version_row *version_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	size_t name_size = key_name_size(key, key_size);
	struct stored_version version;
	struct node node;
	int r;

	r = node_find(catalog, key, key_size, &node, err);
	if (r != 0)
		return r;
	statement_begin(&s, catalog, sql_at);
	statement_bind_i64(&s, node.id);
	statement_bind_i64(&s, version_at(at));
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	r = version_read(&s, &node, key + key_size - name_size, name_size, true, &version,
			 err);
	if (r == 0)
		r = version_check_key(&version.row, key, key_size, err);
	if (r < 0)
		return r;
	if (version.row.end <= (uint64_t)version_at(at))
		return CATALOG_END;
	return version_copy(&version.row, version_out, err);
}

int catalog_get_version(struct catalog *catalog, const uint8_t *key, size_t key_size,
			uint64_t at, struct version_row *version_out, struct error *err)
{
	int r;

	r = partial_at(catalog, &at, err);
	if (r == 0)
		r = get_version(catalog, key, key_size, at, version_out, err);
	if (r != CATALOG_END || !catalog->filler)
		return r;
	r = partial_fill_key(catalog, key, key_size, at, err);
	return r < 0 ? r : get_version(catalog, key, key_size, at, version_out, err);
}

int catalog_last_version(struct catalog *catalog, const uint8_t *key, size_t key_size,
			 uint32_t *version_out, struct error *err)
{
	struct stored_version last;
	struct node node;
	int r;

	r = node_find(catalog, key, key_size, &node, err);
	if (r == 0)
		r = read_last(catalog, &node, key, key_size, &last, err);
	if (r < 0)
		return r;
	*version_out = r == 0 ? last.row.version : 0;
	return 0;
}

int catalog_find_content(struct catalog *catalog, const struct hash *hash, uint64_t size,
			 struct version_row *version_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	uint8_t key[MANIFEST_KEY_MAX];
	struct stored_version version;
	size_t key_size;
	int r;

	statement_begin(&s, catalog, sql_content);
	statement_bind_blob(&s, hash->bytes, VERSION_CONTENT_SIZE);
	statement_bind_hash(&s, hash);
	statement_bind_u64(&s, size);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	r = version_read_anywhere(&s, key, &key_size, &version, err);
	if (r < 0)
		return r;
	return version_copy(&version.row, version_out, err);
}
