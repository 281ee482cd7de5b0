/* SPDX-License-Identifier: MIT */
/* A version's checksum has two halves. The lower one is that of its line, the upper one is
 * over everything else, the path (folder and name) and the lower half. So a listing that
 * does not ask for lines need not read them, and a row is only believed under the name that
 * it was written for.
 *
 * Folders' nodes are numbers that could have got mixed up above this row. What leads from a
 * whole path to bytes therefore also compares the path with the one in the line.
 */
#include "catalog/version.h"

#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/handle.h"
#include "catalog/link.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

static const char sql_insert_line[] = "INSERT INTO manifest(line) VALUES(?)";
static const char sql_delete_line[] = "DELETE FROM manifest WHERE id = ?";
static const char sql_insert[] =
	"INSERT INTO version VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char sql_end[] =
	"UPDATE version SET end = ?, checksum = ? WHERE node = ? AND first = ?";
static const char sql_move[] = "UPDATE version SET first = ?, end = ?, checksum = ? "
			       "WHERE node = ? AND first = ?";
static const char sql_delete[] = "DELETE FROM version WHERE node = ? AND first = ?";

int64_t version_at(uint64_t at)
{
	return (int64_t)(at > COMMIT_MAX ? COMMIT_MAX : at);
}

/* VERSION_CURRENT has another value in the file, whose integers are signed. */
static int64_t stored_end(uint64_t end)
{
	return end == VERSION_CURRENT ? INT64_MAX : (int64_t)end;
}

static uint64_t version_checksum(const struct stored_version *version)
{
	const struct version_row *row = &version->row;
	uint32_t sum = checksum_of((uint64_t)row->node, (uint64_t)row->parent,
				   checksum_bytes(row->name.data, row->name.size),
				   row->first, row->end, row->version, row->type,
				   row->size, checksum_bytes(row->hash.bytes, HASH_SIZE),
				   (uint64_t)row->mtime.seconds, row->mtime.nanoseconds,
				   (uint64_t)row->ctime.seconds, row->ctime.nanoseconds,
				   row->inode, (uint64_t)version->manifest,
				   version->line_checksum);

	return (uint64_t)sum << 32 | version->line_checksum;
}

/* The columns as they stand. Returns the checksum. */
static uint64_t read_columns(struct statement *s, struct stored_version *version)
{
	struct version_row *row = &version->row;
	uint64_t checksum;

	row->node = statement_i64(s);
	row->first = statement_u64(s);
	row->end = statement_u64(s);
	if (row->end == INT64_MAX)
		row->end = VERSION_CURRENT;
	row->version = statement_u32(s);
	row->type = statement_u32(s);
	row->size = statement_u64(s);
	statement_hash(s, &row->hash);
	row->mtime.seconds = statement_i64(s);
	row->mtime.nanoseconds = statement_u32(s);
	row->ctime.seconds = statement_i64(s);
	row->ctime.nanoseconds = statement_u32(s);
	row->inode = statement_u64(s);
	version->manifest = statement_i64(s);
	checksum = statement_u64(s);
	version->line_checksum = (uint32_t)checksum;
	return checksum;
}

/* The line is only read here: `char *line` of the public row is for those who own it. */
static int read_line(struct statement *s, struct stored_version *version,
		     struct error *err)
{
	const char *line = statement_text(s, &version->row.line_size);

	if (!line || crc32c(line, version->row.line_size) != version->line_checksum)
		return catalog_damaged(err, "a manifest");
	version->row.line = (char *)(uintptr_t)line;
	return 0;
}

static int check_version(const struct stored_version *version, uint64_t checksum,
			 struct error *err)
{
	const struct version_row *row = &version->row;

	if (version_checksum(version) != checksum || row->type < ENTRY_FILE ||
	    row->type > ENTRY_BLOCK)
		return catalog_damaged(err, "a version");
	return 0;
}

int version_read(struct statement *statement, const struct node *node,
		 const uint8_t *name, size_t name_size, bool with_line,
		 struct stored_version *version_out, struct error *err)
{
	struct stored_version version = { 0 };
	uint64_t checksum = read_columns(statement, &version);
	int r;

	if (version.row.node != node->id)
		return catalog_damaged(err, "a version of another path");
	version.row.parent = node->parent;
	version.row.name.data = (uint8_t *)(uintptr_t)name;
	version.row.name.size = name_size;
	r = check_version(&version, checksum, err);
	if (r == 0 && with_line)
		r = read_line(statement, &version, err);
	if (r == 0)
		*version_out = version;
	return r;
}

int version_read_anywhere(struct statement *statement, uint8_t *key, size_t *key_size_out,
			  struct stored_version *version_out, struct error *err)
{
	struct stored_version version = { 0 };
	uint64_t checksum = read_columns(statement, &version);
	struct node node = { 0 };
	size_t name_size;
	int r;

	r = read_line(statement, &version, err);
	if (r < 0)
		return r;
	r = manifest_decode_key(version.row.line, version.row.line_size, key,
				key_size_out, err);
	if (r < 0)
		return r;
	r = node_find(statement->catalog, key, *key_size_out, &node, err);
	if (r < 0)
		return r;
	if (r == CATALOG_END || node.id != version.row.node)
		return catalog_damaged(err, "a version of another path");

	name_size = key_name_size(key, *key_size_out);
	version.row.parent = node.parent;
	version.row.name.data = key + *key_size_out - name_size;
	version.row.name.size = name_size;
	r = check_version(&version, checksum, err);
	if (r == 0)
		*version_out = version;
	return r;
}

int version_check_key(const struct version_row *row, const uint8_t *key, size_t key_size,
		      struct error *err)
{
	uint8_t line_key[MANIFEST_KEY_MAX];
	size_t line_key_size;
	int r;

	r = manifest_decode_key(row->line, row->line_size, line_key, &line_key_size, err);
	if (r < 0)
		return r;
	if (key_compare(key, key_size, line_key, line_key_size) != 0)
		return catalog_damaged(err, "a manifest of another path");
	return 0;
}

static int copy_bytes(const void *data, size_t size, void *copy_out, struct error *err)
{
	char *copy = malloc(size + 1);

	if (!copy)
		return error_set(err, -ENOMEM, "no memory for a version");
	if (size)
		memcpy(copy, data, size);
	copy[size] = '\0';
	*(char **)copy_out = copy;
	return 0;
}

int version_copy(const struct version_row *row, struct version_row *row_out,
		 struct error *err)
{
	autofree uint8_t *name = NULL;
	char *line = NULL;
	int r;

	r = copy_bytes(row->name.data, row->name.size, &name, err);
	if (r == 0 && row->line)
		r = copy_bytes(row->line, row->line_size, &line, err);
	if (r < 0)
		return r;
	*row_out = *row;
	row_out->name.data = take_ptr(name);
	row_out->line = line;
	return 0;
}

static int insert_line(struct catalog *catalog, struct stored_version *version,
		       struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_insert_line);
	statement_bind_text(&s, version->row.line, version->row.line_size);
	r = statement_run(&s, err);
	if (r < 0)
		return r;
	version->manifest = sqlite3_last_insert_rowid(catalog->db);
	version->line_checksum = crc32c(version->row.line, version->row.line_size);
	return 0;
}

int version_insert(struct catalog *catalog, struct stored_version *version,
		   struct error *err)
{
	const struct version_row *row = &version->row;
	autostatement struct statement s = { 0 };
	int r;

	r = insert_line(catalog, version, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_insert);
	statement_bind_i64(&s, row->node);
	statement_bind_u64(&s, row->first);
	statement_bind_i64(&s, stored_end(row->end));
	statement_bind_u64(&s, row->version);
	statement_bind_u64(&s, row->type);
	statement_bind_u64(&s, row->size);
	statement_bind_hash(&s, row->type == ENTRY_FILE ? &row->hash : NULL);
	statement_bind_i64(&s, row->mtime.seconds);
	statement_bind_u64(&s, row->mtime.nanoseconds);
	statement_bind_i64(&s, row->ctime.seconds);
	statement_bind_u64(&s, row->ctime.nanoseconds);
	statement_bind_u64(&s, row->inode);
	statement_bind_i64(&s, version->manifest);
	statement_bind_u64(&s, version_checksum(version));
	statement_bind_blob(&s, row->type == ENTRY_FILE ? row->hash.bytes : NULL,
			    VERSION_CONTENT_SIZE);
	return statement_run(&s, err);
}

int version_end(struct catalog *catalog, struct stored_version *version, uint64_t end,
		struct error *err)
{
	autostatement struct statement s = { 0 };
	int r = 0;

	if (version->row.type == ENTRY_DIRECTORY)
		r = link_end_folder(catalog, version->row.parent, version->row.node,
				    version->row.first, end, err);
	else
		r = link_end(catalog, version->row.node, version->row.first, end, err);
	if (r < 0)
		return r;
	version->row.end = end;
	statement_begin(&s, catalog, sql_end);
	statement_bind_i64(&s, stored_end(end));
	statement_bind_u64(&s, version_checksum(version));
	statement_bind_i64(&s, version->row.node);
	statement_bind_u64(&s, version->row.first);
	return statement_run(&s, err);
}

int version_move(struct catalog *catalog, struct stored_version *version, uint64_t first,
		 uint64_t end, struct error *err)
{
	autostatement struct statement s = { 0 };
	uint64_t old = version->row.first;

	version->row.first = first;
	version->row.end = end;
	statement_begin(&s, catalog, sql_move);
	statement_bind_u64(&s, first);
	statement_bind_i64(&s, stored_end(end));
	statement_bind_u64(&s, version_checksum(version));
	statement_bind_i64(&s, version->row.node);
	statement_bind_u64(&s, old);
	return statement_run(&s, err);
}

int version_remove(struct catalog *catalog, const struct stored_version *version,
		   struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, catalog, sql_delete_line);
	statement_bind_i64(&s, version->manifest);
	r = statement_run(&s, err);
	if (r < 0)
		return r;
	r = link_remove(catalog, version->row.parent, version->row.node,
			version->row.first, err);
	if (r < 0)
		return r;
	statement_begin(&s, catalog, sql_delete);
	statement_bind_i64(&s, version->row.node);
	statement_bind_u64(&s, version->row.first);
	return statement_run(&s, err);
}
