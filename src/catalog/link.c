/* SPDX-License-Identifier: MIT */
/* The rows here have no checksums: they only say where to look. Who shows two names as one file
 * compares their manifests.
 */
#include "catalog/link.h"

#include "base/bytes.h"
#include "catalog/link_group.h"
#include "catalog/statement.h"
#include "merkle/hash.h"

#include <string.h>

static const char sql_insert[] = "INSERT OR REPLACE INTO link VALUES(?, ?, ?, ?)";
static const char sql_find[] =
	"SELECT path, inode FROM link WHERE node = ? AND first = ?";
static const char sql_insert_folder[] =
	"INSERT OR REPLACE INTO folder VALUES(?, ?, ?, 9223372036854775807)";
static const char sql_end_folder[] =
	"UPDATE folder SET end = ? WHERE parent = ? AND node = ? AND first = ?";
static const char sql_delete_folder[] =
	"DELETE FROM folder WHERE parent = ? AND node = ? AND first = ?";
static const char sql_delete[] = "DELETE FROM link WHERE node = ? AND first = ?";

int64_t link_path_number(const struct bytes *path)
{
	struct hash hash;
	le64 number;

	hash_bytes(path->data, path->size, &hash);
	memcpy(&number, hash.bytes, sizeof(number));
	return (int64_t)le64_get(number);
}

int link_insert(struct catalog *catalog, int64_t node, uint64_t first,
		const struct bytes *path, uint64_t inode, struct error *err)
{
	struct link_group group = { link_path_number(path), inode };
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_insert);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, first);
	statement_bind_i64(&s, group.path);
	statement_bind_u64(&s, group.inode);
	r = statement_run(&s, err);
	return r < 0 ? r : link_group_add(catalog, &group, node, first, err);
}

int link_end(struct catalog *catalog, int64_t node, uint64_t first, uint64_t end,
	     struct error *err)
{
	autostatement struct statement s = { 0 };
	struct link_group group;
	int r;

	statement_begin(&s, catalog, sql_find);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, first);
	r = statement_step(&s, err);
	if (r != 0)
		return r == CATALOG_END ? 0 : r;
	group.path = statement_i64(&s);
	group.inode = statement_u64(&s);
	statement_end(&s);
	return link_group_remove(catalog, &group, node, end, err);
}

int link_insert_folder(struct catalog *catalog, int64_t parent, int64_t node,
		       uint64_t first, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_insert_folder);
	statement_bind_i64(&s, parent);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, first);
	return statement_run(&s, err);
}

int link_end_folder(struct catalog *catalog, int64_t parent, int64_t node, uint64_t first,
		    uint64_t end, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_end_folder);
	statement_bind_u64(&s, end);
	statement_bind_i64(&s, parent);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, first);
	return statement_run(&s, err);
}

int link_remove(struct catalog *catalog, int64_t parent, int64_t node, uint64_t first,
		struct error *err)
{
	autostatement struct statement s = { 0 };
	autostatement struct statement t = { 0 };
	int r;

	r = link_end(catalog, node, first, first, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_delete);
	statement_bind_i64(&s, node);
	statement_bind_u64(&s, first);
	r = statement_run(&s, err);
	if (r < 0)
		return r;
	statement_begin(&t, catalog, sql_delete_folder);
	statement_bind_i64(&t, parent);
	statement_bind_i64(&t, node);
	statement_bind_u64(&t, first);
	return statement_run(&t, err);
}
