/* SPDX-License-Identifier: MIT */
/* No journal and no flushing: after a crash the next pass begins anew. What SQLite keeps in
 * memory is its page cache, which is bounded; the rest is in the file.
 *
 * Rows are read one by one, by a seek to where the last one was, so that states may be changed
 * meanwhile.
 */
#include "catalog/candidate_table.h"

#include "base/error.h"
#include "catalog/database.h"
#include "catalog/handle.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS_AT_ONCE 50000u /* in one transaction */

/* Where next_rank() and next_key() are; key_size 0: before the first row. */
struct place {
	double rank;
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size;
};

struct candidate_table {
	struct catalog database; /* for statements: only the connection is in use */
	char *path;              /* owned */
	struct place by_rank, by_key;
	uint64_t added;
	bool indexed; /* by rank: made when the first row is read */
};

static const char sql_make[] =
	"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
	"PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;"
	"CREATE TABLE candidate(key BLOB PRIMARY KEY, state INTEGER, rank REAL,"
	" size INTEGER, space INTEGER, inode INTEGER) WITHOUT ROWID;"
	"CREATE UNIQUE INDEX candidate_inode ON candidate(inode) WHERE inode != 0";
static const char sql_index[] =
	"COMMIT; CREATE INDEX candidate_rank ON candidate(rank, key)";
static const char sql_add[] = "INSERT OR IGNORE INTO candidate VALUES(?, 0, ?, ?, ?, ?)";
static const char sql_set[] = "UPDATE candidate SET state = ? WHERE key = ?";
static const char sql_move[] = "UPDATE candidate SET state = ? WHERE state = ?";

#define SELECT "SELECT key, rank, size, space, inode FROM candidate "
static const char sql_first_rank[] = SELECT "INDEXED BY candidate_rank WHERE state = ? "
					    "ORDER BY rank DESC, key DESC LIMIT 1";
static const char sql_next_rank[] =
	SELECT "INDEXED BY candidate_rank WHERE state = ? AND (rank, key) < (?, ?) "
	       "ORDER BY rank DESC, key DESC LIMIT 1";
static const char sql_next_key[] =
	SELECT "WHERE state = ? AND key > ? ORDER BY key LIMIT 1";

static int explain(int r, struct error *err)
{
	return r < 0 ? error_prefix(err, r, "table of candidates") : r;
}

int candidate_table_new(const char *path, struct candidate_table **table_out,
			struct error *err)
{
	autoptr(candidate_table) table = calloc(1, sizeof(*table));
	int read_only;
	int r;

	if (!table)
		return error_set(err, -ENOMEM, "no memory for a table");
	if (unlink(path) < 0 && errno != ENOENT)
		return error_set_errno(err, -errno, "'%s'", path);
	table->path = strdup(path);
	if (!table->path)
		return error_set(err, -ENOMEM, "no memory for a table");
	r = database_open(path, true, &table->database.db, &read_only, err);
	if (r == 0)
		r = database_run(table->database.db, sql_make, err);
	if (r == 0)
		r = database_run(table->database.db, "BEGIN", err);
	if (r < 0)
		return explain(r, err);
	*table_out = take_ptr(table);
	return 0;
}

void candidate_table_free(struct candidate_table *table)
{
	if (!table)
		return;
	statement_cache_done(&table->database.statements);
	database_close(table->database.db);
	if (table->path)
		(void)unlink(table->path);
	free(table->path);
	free(table);
}

/* SQLite's own memory would grow with the rows of one transaction. */
static int renew_transaction(struct candidate_table *table, struct error *err)
{
	if (++table->added % ROWS_AT_ONCE != 0)
		return 0;
	return database_run(table->database.db, "COMMIT; BEGIN", err);
}

int candidate_table_add(struct candidate_table *table, const struct candidate *candidate,
			struct error *err)
{
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, &table->database, sql_add);
	statement_bind_blob(&s, candidate->key, candidate->key_size);
	statement_bind_f64(&s, candidate->rank);
	statement_bind_u64(&s, candidate->size);
	statement_bind_u64(&s, candidate->space);
	statement_bind_u64(&s, candidate->inode);
	r = statement_run(&s, err);
	if (r == 0)
		r = renew_transaction(table, err);
	if (r < 0)
		return explain(r, err);
	return sqlite3_changes(table->database.db) > 0;
}

/* The end of adding. */
static int index_ranks(struct candidate_table *table, struct error *err)
{
	if (table->indexed)
		return 0;
	table->indexed = true;
	return database_run(table->database.db, sql_index, err);
}

static int read_row(struct statement *s, struct place *place,
		    struct candidate *candidate_out, struct error *err)
{
	size_t size;
	const void *key = statement_blob(s, &size);

	if (!key || size > sizeof(place->key))
		return error_set(err, -EBADMSG, "a strange row");
	memcpy(place->key, key, size);
	place->key_size = size;
	place->rank = statement_f64(s);
	*candidate_out = (struct candidate){ .key = place->key,
					     .key_size = size,
					     .rank = place->rank };
	candidate_out->size = statement_u64(s);
	candidate_out->space = statement_u64(s);
	candidate_out->inode = statement_u64(s);
	return 0;
}

static int step(struct statement *s, struct place *place, struct candidate *candidate_out,
		struct error *err)
{
	int r = statement_step(s, err);

	if (r == 0)
		r = read_row(s, place, candidate_out, err);
	if (r != 0)
		place->key_size = 0;
	return explain(r, err);
}

int candidate_table_next_rank(struct candidate_table *table, enum candidate_state state,
			      struct candidate *candidate_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct place *place = &table->by_rank;
	int r = index_ranks(table, err);

	if (r < 0)
		return explain(r, err);
	statement_begin(&s, &table->database,
			place->key_size > 0 ? sql_next_rank : sql_first_rank);
	statement_bind_u64(&s, state);
	if (place->key_size > 0) {
		statement_bind_f64(&s, place->rank);
		statement_bind_blob(&s, place->key, place->key_size);
	}
	return step(&s, place, candidate_out, err);
}

int candidate_table_next_key(struct candidate_table *table, enum candidate_state state,
			     struct candidate *candidate_out, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct place *place = &table->by_key;
	int r = index_ranks(table, err);

	if (r < 0)
		return explain(r, err);
	statement_begin(&s, &table->database, sql_next_key);
	statement_bind_u64(&s, state);
	statement_bind_blob(&s, place->key_size > 0 ? place->key : (const uint8_t *)"",
			    place->key_size);
	return step(&s, place, candidate_out, err);
}

void candidate_table_rewind(struct candidate_table *table)
{
	table->by_rank.key_size = 0;
	table->by_key.key_size = 0;
}

int candidate_table_set(struct candidate_table *table, const struct candidate *candidate,
			enum candidate_state state, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, &table->database, sql_set);
	statement_bind_u64(&s, state);
	statement_bind_blob(&s, candidate->key, candidate->key_size);
	return explain(statement_run(&s, err), err);
}

int candidate_table_move(struct candidate_table *table, enum candidate_state from,
			 enum candidate_state to, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, &table->database, sql_move);
	statement_bind_u64(&s, to);
	statement_bind_u64(&s, from);
	return explain(statement_run(&s, err), err);
}
