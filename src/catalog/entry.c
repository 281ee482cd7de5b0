/* SPDX-License-Identifier: MIT */
/* A node is found by its number through one of its versions: the version's line has the whole
 * path, which is followed from the top, name by name, and has to lead back to the node
 * (version_read_anywhere()). So no index of nodes by number is needed, and a number that got
 * mixed up in the file is found out.
 *
 * The statements are short and end at once: a reader that holds one keeps SQLite's log from
 * being emptied.
 */
#include "catalog/entry.h"

#include "base/error.h"
#include "catalog/handle.h"
#include "catalog/link.h"
#include "catalog/link_group.h"
#include "catalog/partial.h"
#include "catalog/version.h"

#include <string.h>

#define SELECT_LINE \
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE " FROM version v" VERSION_JOIN_LINE

static const char sql_at[] =
	SELECT_LINE " WHERE v.node = ? AND v.first <= ? ORDER BY v.first DESC LIMIT 1";
static const char sql_version[] = SELECT_LINE " WHERE v.node = ? AND v.version = ?";
static const char sql_next_version[] =
	"SELECT v.version, v.first, v.type FROM version v WHERE v.node = ?"
	" AND v.version > ? AND v.type <> 2 ORDER BY v.version LIMIT 1";
static const char sql_folders[] =
	"SELECT count(*) FROM (SELECT 1 FROM folder WHERE parent = ? AND first <= ?2"
	" AND end > ?2 LIMIT ?)";
static const char sql_linked[] = "SELECT 1 FROM link l CROSS JOIN version v ON v.node = "
				 "l.node AND v.first = l.first"
				 " WHERE l.node = ? AND v.version = ?";
static const char sql_names[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE
	" FROM link l CROSS JOIN version v ON v.node = l.node AND v.first = "
	"l.first" VERSION_JOIN_LINE
	" WHERE l.path = ? AND l.inode = ? AND v.first <= ?3 AND v.end > ?3"
	" ORDER BY v.node";
static const char sql_begun[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE
	" FROM version v INDEXED BY version_first" VERSION_JOIN_LINE
	" WHERE v.first > ? AND v.first <= ?";
static const char sql_ended[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE
	" FROM version v INDEXED BY version_end" VERSION_JOIN_LINE
	" WHERE v.end > ? AND v.end <= ? AND v.end < 9223372036854775807";
static const char sql_count[] = "SELECT value FROM meta WHERE name = 'next_node'";

/* The row that @s stands on, if it is of @node. */
static int read_row(struct statement *s, int64_t node, struct stored_version *version_out,
		    struct version_row *row_out, struct error *err)
{
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size;
	int r;

	r = version_read_anywhere(s, key, &key_size, version_out, err);
	if (r == 0 && version_out->row.node != node)
		r = catalog_damaged(err, "a version of another path");
	return r < 0 ? r : version_copy(&version_out->row, row_out, err);
}

/* The first row of @sql for @node and @number. */
static int get_row(struct catalog *catalog, const char *sql, int64_t node, int64_t number,
		   struct version_row *row_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct stored_version version;
	int r;

	statement_begin(&s, catalog, sql);
	statement_bind_i64(&s, node);
	statement_bind_i64(&s, number);
	r = statement_step(&s, err);
	return r != 0 ? r : read_row(&s, node, &version, row_out, err);
}

static int find_at(struct catalog *catalog, int64_t node, uint64_t at,
		   struct version_row *row_out, struct error *err)
{
	struct version_row row = { 0 };
	int r;

	r = get_row(catalog, sql_at, node, version_at(at), &row, err);
	if (r == 0 && row.end <= (uint64_t)version_at(at)) {
		version_row_done(&row);
		return CATALOG_END;
	}
	if (r == 0)
		*row_out = row;
	return r;
}

int entry_at(struct catalog *catalog, int64_t node, uint64_t at,
	     struct version_row *row_out, struct error *err)
{
	int r;

	r = partial_at(catalog, &at, err);
	if (r == 0)
		r = find_at(catalog, node, at, row_out, err);
	if (r != CATALOG_END || !catalog->filler)
		return r;
	r = partial_fill_node(catalog, node, at, err);
	return r < 0 ? r : find_at(catalog, node, at, row_out, err);
}

int entry_version(struct catalog *catalog, int64_t node, uint32_t number,
		  struct version_row *row_out, struct error *err)
{
	uint64_t at = VERSION_CURRENT;
	int r;

	r = partial_at(catalog, &at, err);
	if (r == 0)
		r = get_row(catalog, sql_version, node, number, row_out, err);
	if (r != CATALOG_END || !catalog->filler)
		return r;
	r = partial_fill_versions(catalog, node, err);
	return r < 0 ? r : get_row(catalog, sql_version, node, number, row_out, err);
}

int entry_newest(struct catalog *catalog, int64_t node, struct version_row *row_out,
		 struct error *err)
{
	return get_row(catalog, sql_at, node, version_at(VERSION_CURRENT), row_out, err);
}

int entry_next_version(struct catalog *catalog, int64_t node, uint32_t number,
		       struct version_row *row_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	r = partial_fill_versions(catalog, node, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_next_version);
	statement_bind_i64(&s, node);
	statement_bind_i64(&s, number);
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	*row_out = (struct version_row){ .node = node };
	row_out->version = statement_u32(&s);
	row_out->first = statement_u64(&s);
	row_out->type = statement_u32(&s);
	return 0;
}

int entry_child_node(struct catalog *catalog, int64_t parent, const struct bytes *name,
		     int64_t *node_out, struct error *err)
{
	struct node node;
	int r;

	r = partial_fill_child_versions(catalog, parent, name, err);
	if (r == 0)
		r = node_child(catalog, parent, name->data, name->size, &node, err);
	if (r == 0)
		*node_out = node.id;
	return r;
}

static int find_child(struct catalog *catalog, int64_t parent, const struct bytes *name,
		      uint64_t at, struct version_row *row_out, struct error *err)
{
	struct node node;
	int r;

	r = node_child(catalog, parent, name->data, name->size, &node, err);
	return r != 0 ? r : find_at(catalog, node.id, at, row_out, err);
}

int entry_child(struct catalog *catalog, int64_t parent, const struct bytes *name,
		uint64_t at, struct version_row *row_out, struct error *err)
{
	int r;

	r = partial_at(catalog, &at, err);
	if (r == 0)
		r = find_child(catalog, parent, name, at, row_out, err);
	if (r != CATALOG_END || !catalog->filler)
		return r;
	r = partial_fill_child(catalog, parent, name, at, err);
	return r < 0 ? r : find_child(catalog, parent, name, at, row_out, err);
}

int entry_count_folders(struct catalog *catalog, int64_t parent, uint64_t at,
			uint64_t limit, uint64_t *count_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	if (catalog->filler) { /* what is in a folder is not worth getting for that */
		*count_out = limit;
		return 0;
	}
	statement_begin(&s, catalog, sql_folders);
	statement_bind_i64(&s, parent);
	statement_bind_i64(&s, version_at(at));
	statement_bind_u64(&s, limit);
	r = statement_step(&s, err);
	if (r == 0)
		*count_out = statement_u64(&s);
	return r;
}

int entry_links(struct catalog *catalog, const struct bytes *path, uint64_t inode,
		uint64_t at, uint64_t *count_out, int64_t *node_out, struct error *err)
{
	struct link_group group = { link_path_number(path), inode };
	int r;

	r = partial_at(catalog, &at, err);
	if (r < 0)
		return r;
	if (catalog->filler)
		return partial_links(catalog, path, inode, at, count_out, node_out, err);
	return link_group_get(catalog, &group, at, count_out, node_out, err);
}

int entry_is_linked(struct catalog *catalog, int64_t node, uint32_t number,
		    bool *linked_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_linked);
	statement_bind_i64(&s, node);
	statement_bind_i64(&s, number);
	r = statement_step(&s, err);
	if (r < 0)
		return r;
	*linked_out = r == 0;
	return 0;
}

static int visit_rows(struct statement *s,
		      int (*visit)(void *context, const struct version_row *row,
				   struct error *err),
		      void *context, struct error *err)
{
	uint8_t key[MANIFEST_KEY_MAX];
	struct stored_version version;
	size_t key_size;
	int r;

	while ((r = statement_step(s, err)) == 0) {
		r = version_read_anywhere(s, key, &key_size, &version, err);
		if (r == 0)
			r = visit(context, &version.row, err);
		if (r != 0)
			return r;
	}
	return r == CATALOG_END ? 0 : r;
}

int entry_visit_names(struct catalog *catalog, const struct bytes *path, uint64_t inode,
		      uint64_t at,
		      int (*visit)(void *context, const struct version_row *row,
				   struct error *err),
		      void *context, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_names);
	statement_bind_i64(&s, link_path_number(path));
	statement_bind_u64(&s, inode);
	statement_bind_i64(&s, version_at(at));
	return visit_rows(&s, visit, context, err);
}

static int visit_stretch(struct catalog *catalog, const char *sql, uint64_t after,
			 uint64_t last,
			 int (*visit)(void *context, const struct version_row *row,
				      struct error *err),
			 void *context, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql);
	statement_bind_i64(&s, version_at(after));
	statement_bind_i64(&s, version_at(last));
	return visit_rows(&s, visit, context, err);
}

int entry_visit_changes(struct catalog *catalog, uint64_t after, uint64_t last,
			int (*visit)(void *context, const struct version_row *row,
				     struct error *err),
			void *context, struct error *err)
{
	struct catalog_filler *filler = catalog->filler;
	int r;

	if (filler)
		return filler->ops->changes(filler, after, last, visit, context, err);
	r = visit_stretch(catalog, sql_begun, after, last, visit, context, err);
	return r != 0 ? r
		      : visit_stretch(catalog, sql_ended, after, last, visit, context,
				      err);
}

int entry_count(struct catalog *catalog, uint64_t *count_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_count);
	r = statement_step(&s, err);
	if (r == CATALOG_END)
		return catalog_damaged(err, "no node counter");
	if (r == 0)
		*count_out = statement_u64(&s) - 1;
	return r;
}
