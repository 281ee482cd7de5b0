/* SPDX-License-Identifier: MIT */
/* The catalog may lose its last transactions in a power cut, this table may not: a file whose
 * content is gone and that nobody knows of reads as zeroes. So synchronous is FULL, and what
 * can only be read is refused instead of being read without locks.
 *
 * A flush takes longer than all else here, so who changes a row shares one with all others
 * who want to at that moment: one of the threads writes what has gathered, in one transaction,
 * while the next ones gather.
 *
 * Rows carry a checksum over everything that decides what a recall writes.
 */
#include "catalog/stub_table.h"

#include "base/error.h"
#include "base/mutex.h"
#include "catalog/checksum.h"
#include "catalog/database.h"
#include "catalog/handle.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a thread wants to have changed; on its stack. */
struct change {
	const struct stub_row *row;
	bool remove;
	bool done;
	int r;
	struct error err;
	struct change *next;
};

struct stub_table {
	struct mutex mutex; /* guards the database; not taken with the next one held */
	struct catalog database; /* for statements: only the connection is in use */
	struct mutex gathering;  /* guards all below */
	struct cond written;
	struct change *changes;
	bool writing; /* somebody does */
};

static const char sql_make[] =
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = FULL;"
	"CREATE TABLE IF NOT EXISTS stub(handle BLOB PRIMARY KEY, state INTEGER,"
	" id INTEGER, size INTEGER, hash BLOB, archive BLOB, time INTEGER, path BLOB,"
	" problem TEXT, checksum INTEGER) WITHOUT ROWID";
static const char sql_put[] =
	"INSERT OR REPLACE INTO stub(handle, state, id, size, hash, archive, time, path,"
	" problem, checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char sql_remove[] = "DELETE FROM stub WHERE handle = ?";

#define SELECT                                                                          \
	"SELECT handle, state, id, size, hash, archive, time, path, problem, checksum " \
	"FROM stub "
static const char sql_get[] = SELECT "WHERE handle = ?";
static const char sql_next[] = SELECT "WHERE handle > ? ORDER BY handle LIMIT 1";
static const char sql_totals[] = "SELECT count(*), sum(size) FROM stub";

void stub_row_done(struct stub_row *row)
{
	free(row->path);
	free(row->problem);
	*row = (struct stub_row){ 0 };
}

static uint32_t row_checksum(const struct stub_row *row)
{
	return checksum_of(checksum_bytes(row->handle, row->handle_size), row->state,
			   row->id, row->size, checksum_bytes(row->hash.bytes, HASH_SIZE),
			   checksum_bytes(row->archive.bytes, HASH_SIZE));
}

/* The texts of errors speak of the catalog, which this is not. */
static int explain(int r, struct error *err)
{
	if (r == -EBADMSG)
		return error_set(err, r,
				 "the table of stubs is damaged: see 'tier check'");
	return r < 0 ? error_prefix(err, r, "table of stubs") : r;
}

int stub_table_open(const char *path, bool create, struct stub_table **table_out,
		    struct error *err)
{
	autoptr(stub_table) table = NULL;
	struct stat st;
	int read_only;
	int r;

	if (!create && stat(path, &st) < 0)
		return error_set_errno(err, -errno, "table of stubs '%s'", path);
	table = calloc(1, sizeof(*table));
	if (!table)
		return error_set(err, -ENOMEM, "no memory for the table of stubs");
	mutex_init(&table->mutex);
	mutex_init(&table->gathering);
	cond_init(&table->written);
	r = database_open(path, true, &table->database.db, &read_only, err);
	if (r == 0)
		r = database_run(table->database.db, sql_make, err);
	if (r < 0)
		return explain(r, err);
	*table_out = take_ptr(table);
	return 0;
}

void stub_table_free(struct stub_table *table)
{
	if (!table)
		return;
	statement_cache_done(&table->database.statements);
	database_close(table->database.db);
	cond_done(&table->written);
	mutex_done(&table->gathering);
	mutex_done(&table->mutex);
	free(table);
}

/* ---- changes ---- */

static int put_row(struct stub_table *table, const struct stub_row *row,
		   struct error *err)
{
	autostatement struct statement s = { 0 };

	assert(row->handle_size <= STUB_HANDLE_MAX);
	statement_begin(&s, &table->database, sql_put);
	statement_bind_blob(&s, row->handle, row->handle_size);
	statement_bind_u64(&s, row->state);
	statement_bind_u64(&s, row->id);
	statement_bind_u64(&s, row->size);
	statement_bind_hash(&s, &row->hash);
	statement_bind_hash(&s, &row->archive);
	statement_bind_i64(&s, row->time);
	statement_bind_blob(&s, row->path, row->path ? strlen(row->path) : 0);
	statement_bind_text(&s, row->problem, row->problem ? strlen(row->problem) : 0);
	statement_bind_u64(&s, row_checksum(row));
	return statement_run(&s, err);
}

static int remove_row(struct stub_table *table, const struct stub_row *row,
		      struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, &table->database, sql_remove);
	statement_bind_blob(&s, row->handle, row->handle_size);
	return statement_run(&s, err);
}

static int run_changes(struct stub_table *table, const struct change *changes,
		       struct error *err)
{
	int r = 0;

	for (; changes && r == 0; changes = changes->next)
		r = changes->remove ? remove_row(table, changes->row, err)
				    : put_row(table, changes->row, err);
	return r;
}

/* All of them, or none. */
static int write_changes(struct stub_table *table, const struct change *changes,
			 struct error *err)
{
	mutex_scope(&table->mutex);
	int r = database_run(table->database.db, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return explain(r, err);
	r = run_changes(table, changes, err);
	if (r == 0)
		r = database_run(table->database.db, "COMMIT", err);
	if (r < 0)
		(void)database_run(table->database.db, "ROLLBACK", NULL);
	return explain(r, err);
}

static void settle_locked(struct stub_table *table, struct change *changes, int r,
			  const struct error *err) requires_mutex(table->gathering)
{
	struct change *next;

	for (; changes; changes = next) {
		next = changes->next; /* it is its thread's again, as soon as it is done */
		changes->r = r;
		changes->err = *err;
		changes->done = true;
	}
	table->writing = false;
	cond_broadcast(&table->written);
}

static int change_row(struct stub_table *table, const struct stub_row *row, bool remove,
		      struct error *err)
{
	struct change change = { .row = row, .remove = remove };

	mutex_lock(&table->gathering);
	change.next = table->changes;
	table->changes = &change;
	while (!change.done && table->writing)
		cond_wait(&table->written, &table->gathering);
	if (!change.done) {
		struct change *changes = table->changes;
		struct error why = { 0 };
		int r;

		table->changes = NULL;
		table->writing = true;
		mutex_unlock(&table->gathering);
		r = write_changes(table, changes, &why);
		mutex_lock(&table->gathering);
		settle_locked(table, changes, r, &why);
	}
	mutex_unlock(&table->gathering);
	if (change.r < 0 && err)
		*err = change.err;
	return change.r;
}

int stub_table_put(struct stub_table *table, const struct stub_row *row,
		   struct error *err)
{
	return change_row(table, row, false, err);
}

int stub_table_put_all(struct stub_table *table, const struct stub_row *rows,
		       size_t count, struct error *err)
{
	autofree struct change *changes = calloc(count + 1, sizeof(*changes));

	if (!changes)
		return error_set(err, -ENOMEM, "no memory for the table of stubs");
	for (size_t i = 0; i < count; i++)
		changes[i] =
			(struct change){ .row = &rows[i],
					 .next = i + 1 < count ? &changes[i + 1] : NULL };
	return count > 0 ? write_changes(table, changes, err) : 0;
}

int stub_table_remove(struct stub_table *table, const struct stub_row *row,
		      struct error *err)
{
	return change_row(table, row, true, err);
}

/* ---- reading ---- */

/* NULL for an empty one. */
static int copy_text(const void *data, size_t size, char **text_out)
{
	*text_out = size ? strndup(data, size) : NULL;
	return size && !*text_out ? -ENOMEM : 0;
}

static int read_row(struct statement *s, struct stub_row *row)
{
	const void *handle, *path;
	const char *problem;
	size_t path_size, problem_size;

	handle = statement_blob(s, &row->handle_size);
	if (!handle || row->handle_size > STUB_HANDLE_MAX)
		return -EBADMSG;
	memcpy(row->handle, handle, row->handle_size);
	row->state = (enum stub_state)statement_u32(s);
	row->id = statement_u64(s);
	row->size = statement_u64(s);
	statement_hash(s, &row->hash);
	statement_hash(s, &row->archive);
	row->time = statement_i64(s);
	path = statement_blob(s, &path_size);
	problem = statement_text(s, &problem_size);
	if (row_checksum(row) != statement_u32(s))
		return -EBADMSG;
	if (row->state != STUB_PREPARED && row->state != STUB_PUNCHED)
		return -EBADMSG;
	if (copy_text(path, path_size, &row->path) < 0 ||
	    copy_text(problem, problem_size, &row->problem) < 0)
		return -ENOMEM;
	return 0;
}

static int find(struct stub_table *table, const char *sql, const uint8_t *handle,
		size_t size, struct stub_row *row_out, struct error *err)
{
	mutex_scope(&table->mutex);
	autostatement struct statement s = { 0 };
	struct stub_row row = { 0 };
	int r;

	statement_begin(&s, &table->database, sql);
	statement_bind_blob(&s, handle, size);
	r = statement_step(&s, err);
	if (r != 0)
		return explain(r, err);
	r = read_row(&s, &row);
	if (r < 0) {
		stub_row_done(&row);
		return explain(error_set_errno(err, r, "a row"), err);
	}
	*row_out = row;
	return 0;
}

int stub_table_get(struct stub_table *table, const uint8_t *handle, size_t size,
		   struct stub_row *row_out, struct error *err)
{
	return find(table, sql_get, handle, size, row_out, err);
}

int stub_table_next(struct stub_table *table, const uint8_t *handle, size_t size,
		    struct stub_row *row_out, struct error *err)
{
	/* A blob that is not there compares with nothing; an empty one with all. */
	return find(table, sql_next, handle ? handle : (const uint8_t *)"", size, row_out,
		    err);
}

int stub_table_totals(struct stub_table *table, uint64_t *count_out, uint64_t *size_out,
		      struct error *err)
{
	mutex_scope(&table->mutex);
	autostatement struct statement s = { 0 };
	int r;

	statement_begin(&s, &table->database, sql_totals);
	r = statement_step(&s, err);
	if (r < 0)
		return explain(r, err);
	*count_out = statement_u64(&s);
	*size_out = statement_u64(&s);
	return 0;
}
