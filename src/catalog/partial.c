/* SPDX-License-Identifier: MIT */
/* A catalog that is filled on demand has the tables of every other one, used in this way:
 *
 *     version  [first, end) are commits between which the version was seen; as a version's
 *              number never comes back, it was alive in between, too
 *     folder   marks instead of folders: `parent` is a node, `node` is minus what is known of
 *              it (enum catalog_known), `first` the commit as of which that holds
 *     link     as always; link_group is empty, since counts follow from what is in now
 *
 * The number of a node is a hash of its folder's number and its name. There are 2^34 of
 * them, so two paths may meet: the later one takes the next number that is free. A node has a
 * version from the transaction on that made it, hence `version` tells which are taken.
 */
#include "catalog/partial.h"

#include "base/bytes.h"
#include "base/error.h"
#include "catalog/database.h"
#include "catalog/entry.h"
#include "catalog/handle.h"
#include "catalog/link.h"
#include "catalog/version.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NODE_BITS 34 /* of what an inode number has room for */
#define NODE_MASK ((INT64_C(1) << NODE_BITS) - 1)

static const char sql_taken[] = "SELECT 1 FROM version WHERE node = ? LIMIT 1";
static const char sql_insert_node[] = "INSERT INTO node VALUES(?, ?, ?, ?)";
static const char sql_version[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE " FROM version v" VERSION_JOIN_LINE
	" WHERE v.node = ? AND v.version = ?";
static const char sql_insert_link[] = "INSERT OR REPLACE INTO link VALUES(?, ?, ?, ?)";
static const char sql_move_link[] =
	"UPDATE link SET first = ? WHERE node = ? AND first = ?";
static const char sql_links[] =
	"SELECT count(*), min(l.node) FROM link l CROSS JOIN version v"
	" ON v.node = l.node AND v.first = l.first"
	" WHERE l.path = ? AND l.inode = ? AND v.first <= ?3 AND v.end > ?3";
static const char sql_overlaps[] =
	"SELECT 1 FROM version WHERE node = ? AND version <> ? AND first < ? AND end > ?"
	" LIMIT 1";
static const char sql_put_known[] = "INSERT OR REPLACE INTO folder VALUES(?, ?, ?, ?)";
static const char sql_get_known[] =
	"SELECT 1 FROM folder WHERE parent = ? AND node = ? AND first = ?";

void catalog_set_filler(struct catalog *catalog, struct catalog_filler *filler)
{
	catalog->filler = filler;
}

int catalog_be_disposable(struct catalog *catalog, struct error *err)
{
	return database_run(catalog->db, "PRAGMA synchronous = OFF", err);
}

/* Asking. */

int partial_at(struct catalog *catalog, uint64_t *at, struct error *err)
{
	uint64_t current;
	int r;

	if (!catalog->filler)
		return 0;
	r = catalog->filler->ops->current(catalog->filler, &current, err);
	if (r == 0 && *at == VERSION_CURRENT)
		*at = current;
	return r;
}

struct path {
	size_t size;
	uint8_t key[MANIFEST_KEY_MAX];
};

/* The path of a node. CATALOG_END. */
static int path_of(struct catalog *catalog, int64_t node, struct path *path,
		   struct error *err)
{
	struct version_row row = { 0 };
	int r;

	path->size = 0;
	if (node == 0)
		return 0;
	r = entry_newest(catalog, node, &row, err);
	if (r == 0)
		r = manifest_decode_key(row.line, row.line_size, path->key, &path->size,
					err);
	version_row_done(&row);
	return r;
}

static int append_name(struct path *path, const struct bytes *name)
{
	size_t at = path->size ? path->size + 1 : 0;

	if (name->size == 0 || name->size > sizeof(path->key) - at)
		return CATALOG_END;
	if (at)
		path->key[at - 1] = 0;
	memcpy(path->key + at, name->data, name->size);
	path->size = at + name->size;
	return 0;
}

static int nothing_to_fill(int r)
{
	return r == CATALOG_END ? 0 : r;
}

int partial_fill_key(struct catalog *catalog, const uint8_t *key, size_t key_size,
		     uint64_t at, struct error *err)
{
	struct catalog_filler *filler = catalog->filler;

	if (!filler || !key_valid(key, key_size))
		return 0;
	return filler->ops->entry(filler, key, key_size, at, err);
}

int partial_fill_node(struct catalog *catalog, int64_t node, uint64_t at,
		      struct error *err)
{
	struct path path;
	int r;

	if (!catalog->filler)
		return 0;
	r = path_of(catalog, node, &path, err);
	if (r == 0)
		r = partial_fill_key(catalog, path.key, path.size, at, err);
	return nothing_to_fill(r);
}

int partial_fill_child(struct catalog *catalog, int64_t parent, const struct bytes *name,
		       uint64_t at, struct error *err)
{
	struct path path;
	bool known = false;
	int r;

	if (!catalog->filler)
		return 0;
	r = path_of(catalog, parent, &path, err);
	if (r == 0)
		r = catalog_get_known(catalog, path.key, path.size, CATALOG_FOLDER, at,
				      &known, err);
	if (r == 0 && !known)
		r = append_name(&path, name);
	if (r == 0 && !known)
		r = partial_fill_key(catalog, path.key, path.size, at, err);
	return nothing_to_fill(r);
}

int partial_fill_folder(struct catalog *catalog, int64_t node, uint64_t at,
			struct error *err)
{
	struct catalog_filler *filler = catalog->filler;
	struct path path;
	bool known = false;
	int r;

	if (!filler)
		return 0;
	r = path_of(catalog, node, &path, err);
	if (r == 0)
		r = catalog_get_known(catalog, path.key, path.size, CATALOG_FOLDER, at,
				      &known, err);
	if (r == 0 && !known)
		r = filler->ops->folder(filler, path.key, path.size, at, err);
	return nothing_to_fill(r);
}

static int fill_versions(struct catalog *catalog, const struct path *path,
			 struct error *err)
{
	struct catalog_filler *filler = catalog->filler;

	return filler->ops->versions(filler, path->key, path->size, err);
}

int partial_fill_versions(struct catalog *catalog, int64_t node, struct error *err)
{
	struct path path;
	int r;

	if (!catalog->filler || node == 0)
		return 0;
	r = path_of(catalog, node, &path, err);
	if (r == 0)
		r = fill_versions(catalog, &path, err);
	return nothing_to_fill(r);
}

int partial_fill_child_versions(struct catalog *catalog, int64_t parent,
				const struct bytes *name, struct error *err)
{
	struct path path;
	int r;

	if (!catalog->filler)
		return 0;
	r = path_of(catalog, parent, &path, err);
	if (r == 0)
		r = append_name(&path, name);
	if (r == 0 && key_valid(path.key, path.size))
		r = fill_versions(catalog, &path, err);
	return nothing_to_fill(r);
}

int partial_fill_paths(struct catalog *catalog, int64_t node, struct error *err)
{
	struct catalog_filler *filler = catalog->filler;
	struct path path;
	int r;

	if (!filler)
		return 0;
	r = path_of(catalog, node, &path, err);
	if (r == 0)
		r = filler->ops->paths(filler, path.key, path.size, err);
	return nothing_to_fill(r);
}

int partial_fill_heads(struct catalog *catalog, uint64_t from, struct error *err)
{
	struct catalog_filler *filler = catalog->filler;

	return filler ? filler->ops->heads(filler, from, err) : 0;
}

int partial_links(struct catalog *catalog, const struct bytes *path, uint64_t inode,
		  uint64_t at, uint64_t *count_out, int64_t *node_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_links);
	statement_bind_i64(&s, link_path_number(path));
	statement_bind_u64(&s, inode);
	statement_bind_i64(&s, version_at(at));
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	*count_out = statement_u64(&s);
	*node_out = statement_i64(&s);
	return 0;
}

/* Filling. */

static int is_taken(struct catalog *catalog, int64_t node, bool *taken_out,
		    struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_taken);
	statement_bind_i64(&s, node);
	r = statement_step(&s, err);
	if (r >= 0)
		*taken_out = r == 0;
	return r < 0 ? r : 0;
}

/* The number that a path would like to have, from 1 on. */
static int64_t number_of(int64_t parent, const uint8_t *name, size_t size)
{
	uint8_t bytes[sizeof(le64) + KEY_COMPONENT_MAX];
	le64 number = le64_make((uint64_t)parent);
	struct hash hash;

	memcpy(bytes, &number, sizeof(number));
	memcpy(bytes + sizeof(number), name, size);
	hash_bytes(bytes, sizeof(number) + size, &hash);
	memcpy(&number, hash.bytes, sizeof(number));
	return (int64_t)(le64_get(number) % (uint64_t)(NODE_MASK - 1)) + 1;
}

static int insert_node(struct catalog *catalog, int64_t parent, const uint8_t *name,
		       size_t size, struct node *node_out, struct error *err)
{
	struct node node = { number_of(parent, name, size), parent };
	autostatement struct statement s = { 0 };
	bool taken = true;
	int r;

	for (;;) {
		r = is_taken(catalog, node.id, &taken, err);
		if (r < 0)
			return r;
		if (!taken)
			break;
		node.id = node.id % (NODE_MASK - 1) + 1;
	}
	statement_begin(&s, catalog, sql_insert_node);
	statement_bind_i64(&s, parent);
	statement_bind_blob(&s, name, size);
	statement_bind_i64(&s, node.id);
	statement_bind_u64(&s, node_checksum(&node, name, size));
	r = statement_run(&s, err);
	if (r == 0)
		*node_out = node;
	return r;
}

static int seen_node(struct catalog *catalog, const struct bytes *key,
		     struct node *node_out, struct error *err)
{
	size_t name_size = key_name_size(key->data, key->size);
	const uint8_t *name = key->data + key->size - name_size;
	struct node folder = { 0 };
	int r = 0;

	if (key->size > name_size)
		r = node_find(catalog, key->data, key->size - name_size - 1, &folder,
			      err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "an entry in a folder that is none");
	if (r == 0)
		r = node_child(catalog, folder.id, name, name_size, node_out, err);
	if (r != CATALOG_END)
		return r;
	return insert_node(catalog, folder.id, name, name_size, node_out, err);
}

/* A path has one version at a time. The tree of a commit is proved, but not that whoever made
 * it counted versions as they must be; what contradicts itself is not guessed at. */
static int check_alone(struct catalog *catalog, int64_t node, uint32_t version,
		       uint64_t first, uint64_t end, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_overlaps);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, version);
	statement_bind_u64(&s, end);
	statement_bind_u64(&s, first);
	r = statement_step(&s, err);
	if (r == 0)
		return error_set(err, -EBADMSG,
				 "version %" PRIu32 " of a path came back after another",
				 version);
	return r < 0 ? r : 0;
}

/* The version is in: let it be alive at @commit, too. */
static int widen(struct catalog *catalog, struct stored_version *version, uint64_t commit,
		 struct error *err)
{
	uint64_t old = version->row.first;
	uint64_t first = old < commit ? old : commit;
	uint64_t end = version->row.end > commit ? version->row.end : commit + 1;
	autostatement struct statement s = { 0 };
	int r;

	if (first == old && end == version->row.end)
		return 0;
	r = check_alone(catalog, version->row.node, version->row.version, first, end,
			err);
	if (r == 0)
		r = version_move(catalog, version, first, end, err);
	if (r < 0 || first == old)
		return r;
	statement_begin(&s, catalog, sql_move_link);
	statement_bind_u64(&s, first);
	statement_bind_i64(&s, version->row.node);
	statement_bind_u64(&s, old);
	return statement_run(&s, err);
}

/* CATALOG_END: it is not in. */
static int widen_seen(struct catalog *catalog, const struct node *node,
		      const struct version_row *row, uint64_t commit, struct error *err)
{
	struct stored_version version;
	int r;

	{
		autostatement struct statement s = { 0 };

		statement_begin(&s, catalog, sql_version);
		statement_bind_i64(&s, node->id);
		statement_bind_u64(&s, row->version);
		r = statement_step(&s, err);
		if (r == 0)
			r = version_read(&s, node, row->name.data, row->name.size, true,
					 &version, err);
		if (r == 0 && (version.row.line_size != row->line_size ||
			       memcmp(version.row.line, row->line, row->line_size) != 0))
			r = error_set(err, -EBADMSG,
				      "version %" PRIu32 " of a path is two things",
				      row->version);
	}
	if (r != 0)
		return r;
	version.row.line = NULL; /* went with the statement */
	return widen(catalog, &version, commit, err);
}

static int insert_link(struct catalog *catalog, int64_t node, uint64_t first,
		       const struct manifest *manifest, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_insert_link);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, first);
	statement_bind_i64(&s, link_path_number(&manifest->link));
	statement_bind_u64(&s, manifest->inode);
	return statement_run(&s, err);
}

int catalog_put_seen(struct catalog *catalog, uint64_t commit,
		     const struct manifest *manifest, const char *line, size_t line_size,
		     struct error *err)
{
	const struct bytes *key = &manifest->key;
	size_t name_size = key_name_size(key->data, key->size);
	struct stored_version version = { 0 };
	struct node node = { 0 };
	int r;

	assert(catalog->writing && commit < COMMIT_MAX);
	r = seen_node(catalog, key, &node, err);
	if (r < 0)
		return r;
	version.row = (struct version_row){
		.node = node.id,
		.parent = node.parent,
		.name = { key->data + key->size - name_size, name_size },
		.first = commit,
		.end = commit + 1,
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
	r = widen_seen(catalog, &node, &version.row, commit, err);
	if (r != CATALOG_END)
		return r;
	r = check_alone(catalog, node.id, version.row.version, commit, commit + 1, err);
	if (r == 0)
		r = version_insert(catalog, &version, err);
	if (r == 0 && manifest->link.size > 0)
		r = insert_link(catalog, node.id, commit, manifest, err);
	return r;
}

/* The node of a key, 0 for the top. CATALOG_END. */
static int find_node(struct catalog *catalog, const uint8_t *key, size_t key_size,
		     struct node *node_out, struct error *err)
{
	*node_out = (struct node){ 0 };
	return key_size ? node_find(catalog, key, key_size, node_out, err) : 0;
}

int catalog_put_known(struct catalog *catalog, const uint8_t *key, size_t key_size,
		      enum catalog_known known, uint64_t commit, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct node node;
	int r;

	r = find_node(catalog, key, key_size, &node, err);
	if (r != 0)
		return r < 0 ? r : 0; /* nothing of it is in: nothing can be said */
	statement_begin(&s, catalog, sql_put_known);
	statement_bind_i64(&s, node.id);
	statement_bind_i64(&s, -(int64_t)known);
	statement_bind_u64(&s, commit);
	statement_bind_u64(&s, commit + 1);
	return statement_run(&s, err);
}

int catalog_get_known(struct catalog *catalog, const uint8_t *key, size_t key_size,
		      enum catalog_known known, uint64_t commit, bool *known_out,
		      struct error *err)
{
	autostatement struct statement s = { 0 };
	struct node node;
	int r;

	*known_out = false;
	r = find_node(catalog, key, key_size, &node, err);
	if (r != 0)
		return r < 0 ? r : 0;
	statement_begin(&s, catalog, sql_get_known);
	statement_bind_i64(&s, node.id);
	statement_bind_i64(&s, -(int64_t)known);
	statement_bind_u64(&s, commit);
	r = statement_step(&s, err);
	*known_out = r == 0;
	return r < 0 ? r : 0;
}

int catalog_find_node(struct catalog *catalog, const uint8_t *key, size_t key_size,
		      int64_t *node_out, int64_t *parent_out, struct error *err)
{
	struct node node;
	int r;

	r = find_node(catalog, key, key_size, &node, err);
	if (r == 0) {
		*node_out = node.id;
		*parent_out = node.parent;
	}
	return r;
}
