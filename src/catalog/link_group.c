/* SPDX-License-Identifier: MIT */
/* A group has a row for each commit that changed it, which holds from that commit on until
 * the next row. So a question about any commit is one seek, however many names there are.
 *
 * A name that comes changes the count and may become the first one. When the first one goes,
 * the next is looked for among the names with higher nodes. Those before it are no names any
 * more, so a commit that removes all of them, in whatever order, passes each of them once.
 *
 * Commits come in their order, and then only the newest row is touched. Should one come late,
 * the rows behind it change as well.
 */
#include "catalog/link_group.h"

#include "catalog/checksum.h"
#include "catalog/handle.h"
#include "catalog/version.h"

static const char sql_last[] =
	"SELECT first, count, node, checksum FROM link_group"
	" WHERE path = ? AND inode = ? AND first <= ? ORDER BY first DESC LIMIT 1";
static const char sql_next[] =
	"SELECT first, count, node, checksum FROM link_group"
	" WHERE path = ? AND inode = ? AND first > ? ORDER BY first LIMIT 1";
static const char sql_put[] =
	"INSERT OR REPLACE INTO link_group VALUES(?, ?, ?, ?, ?, ?)";
static const char sql_next_name[] =
	"SELECT l.node FROM link l INDEXED BY link_path CROSS JOIN version v"
	" ON v.node = l.node AND v.first = l.first"
	" WHERE l.path = ?1 AND l.inode = ?2 AND l.node > ?3 AND l.first <= ?4"
	" AND v.end > ?4 ORDER BY l.node LIMIT 1";

struct row {
	uint64_t first; /* commit */
	uint64_t count;
	int64_t node; /* the lowest; 0: none */
};

static uint32_t row_checksum(const struct link_group *group, const struct row *row)
{
	return checksum_of((uint64_t)group->path, group->inode, row->first, row->count,
			   (uint64_t)row->node);
}

/* The row that @sql finds for @sequence. CATALOG_END. */
static int read_row(struct catalog *catalog, const char *sql,
		    const struct link_group *group, uint64_t sequence,
		    struct row *row_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct row row;
	int r;

	statement_begin(&s, catalog, sql);
	statement_bind_i64(&s, group->path);
	statement_bind_u64(&s, group->inode);
	statement_bind_i64(&s, version_at(sequence));
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	row.first = statement_u64(&s);
	row.count = statement_u64(&s);
	row.node = statement_i64(&s);
	if (statement_u64(&s) != row_checksum(group, &row))
		return catalog_damaged(err, "names of a file");
	*row_out = row;
	return 0;
}

static int put_row(struct catalog *catalog, const struct link_group *group,
		   const struct row *row, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put);
	statement_bind_i64(&s, group->path);
	statement_bind_u64(&s, group->inode);
	statement_bind_u64(&s, row->first);
	statement_bind_u64(&s, row->count);
	statement_bind_i64(&s, row->node);
	statement_bind_u64(&s, row_checksum(group, row));
	return statement_run(&s, err);
}

/* Let the name behind row->node be the first. */
static int find_next_name(struct catalog *catalog, const struct link_group *group,
			  struct row *row, struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_next_name);
	statement_bind_i64(&s, group->path);
	statement_bind_u64(&s, group->inode);
	statement_bind_i64(&s, row->node);
	statement_bind_u64(&s, row->first);
	r = statement_step(&s, err);
	if (r == 0)
		row->node = statement_i64(&s);
	return r == CATALOG_END ? catalog_damaged(err, "names of a file") : r;
}

static int add_name(struct catalog *catalog, const struct link_group *group,
		    struct row *row, int64_t node, struct error *err)
{
	if (row->count++ == 0 || node < row->node)
		row->node = node;
	return put_row(catalog, group, row, err);
}

static int remove_name(struct catalog *catalog, const struct link_group *group,
		       struct row *row, int64_t node, struct error *err)
{
	int r = 0;

	if (row->count == 0)
		return catalog_damaged(err, "names of a file");
	if (--row->count == 0)
		row->node = 0;
	else if (row->node == node)
		r = find_next_name(catalog, group, row, err);
	return r < 0 ? r : put_row(catalog, group, row, err);
}

/* Do @change to the row of @sequence, which is made if need be, and to all behind it. */
static int change_rows(struct catalog *catalog, const struct link_group *group,
		       int64_t node, uint64_t sequence,
		       int (*change)(struct catalog *catalog,
				     const struct link_group *group, struct row *row,
				     int64_t node, struct error *err),
		       struct error *err)
{
	struct row row = { 0 };
	int r;

	r = read_row(catalog, sql_last, group, sequence, &row, err);
	if (r < 0)
		return r;
	row.first = sequence;
	do {
		r = change(catalog, group, &row, node, err);
		if (r == 0)
			r = read_row(catalog, sql_next, group, row.first, &row, err);
	} while (r == 0);
	return r == CATALOG_END ? 0 : r;
}

int link_group_add(struct catalog *catalog, const struct link_group *group, int64_t node,
		   uint64_t sequence, struct error *err)
{
	return change_rows(catalog, group, node, sequence, add_name, err);
}

int link_group_remove(struct catalog *catalog, const struct link_group *group,
		      int64_t node, uint64_t sequence, struct error *err)
{
	return change_rows(catalog, group, node, sequence, remove_name, err);
}

int link_group_get(struct catalog *catalog, const struct link_group *group, uint64_t at,
		   uint64_t *count_out, int64_t *node_out, struct error *err)
{
	struct row row = { 0 };
	int r;

	r = read_row(catalog, sql_last, group, at, &row, err);
	if (r < 0)
		return r;
	*count_out = row.count;
	*node_out = row.node;
	return 0;
}
