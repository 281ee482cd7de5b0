/* SPDX-License-Identifier: MIT */
/* Preparing a statement takes some ten times as long as a look-up with it, and several of
 * one text may be in use at once (a listing for each level of a walk). So each use takes an
 * idle statement out of a list or prepares another, and puts it back afterwards.
 */
#include "catalog/statement.h"

#include "catalog/database.h"
#include "catalog/handle.h"
#include "volume/record.h"

#include <assert.h>
#include <sqlite3.h>
#include <string.h>

static struct sqlite3_stmt *take_idle(struct statement_cache *cache, const char *sql)
{
	for (size_t i = cache->count; i-- > 0;) {
		struct sqlite3_stmt *handle = cache->idle[i].handle;

		if (cache->idle[i].sql != sql)
			continue;
		cache->idle[i] = cache->idle[--cache->count];
		return handle;
	}
	return NULL;
}

void statement_begin(struct statement *statement, struct catalog *catalog,
		     const char *sql)
{
	assert(!statement->catalog);
	*statement = (struct statement){ .catalog = catalog, .sql = sql };
	statement->handle = take_idle(&catalog->statements, sql);
	if (!statement->handle)
		statement->code = sqlite3_prepare_v3(catalog->db, sql, -1,
						     SQLITE_PREPARE_PERSISTENT,
						     &statement->handle, NULL);
}

void statement_end(struct statement *statement)
{
	struct statement_cache *cache;

	if (!statement->catalog)
		return;
	cache = &statement->catalog->statements;
	if (statement->handle) { /* else it could not be prepared */
		(void)sqlite3_reset(
			statement->handle); /* repeats the last step's error */
		(void)sqlite3_clear_bindings(statement->handle);
	}
	if (!statement->handle || cache->count == STATEMENTS_IDLE_MAX) {
		(void)sqlite3_finalize(statement->handle);
	} else {
		cache->idle[cache->count].sql = statement->sql;
		cache->idle[cache->count++].handle = statement->handle;
	}
	*statement = (struct statement){ 0 };
}

static void note(struct statement *statement, int code)
{
	if (statement->code == SQLITE_OK)
		statement->code = code;
}

void statement_bind_i64(struct statement *statement, int64_t value)
{
	int at = ++statement->parameter;

	if (statement->code == SQLITE_OK)
		note(statement, sqlite3_bind_int64(statement->handle, at, value));
}

void statement_bind_u64(struct statement *statement, uint64_t value)
{
	statement_bind_i64(statement, (int64_t)value);
}

void statement_bind_f64(struct statement *statement, double value)
{
	int at = ++statement->parameter;

	if (statement->code == SQLITE_OK)
		note(statement, sqlite3_bind_double(statement->handle, at, value));
}

void statement_bind_blob(struct statement *statement, const void *data, size_t size)
{
	int at = ++statement->parameter;

	if (statement->code == SQLITE_OK)
		note(statement, sqlite3_bind_blob64(statement->handle, at, data, size,
						    SQLITE_STATIC));
}

void statement_bind_text(struct statement *statement, const char *text, size_t size)
{
	int at = ++statement->parameter;

	if (statement->code == SQLITE_OK)
		note(statement, sqlite3_bind_text64(statement->handle, at, text, size,
						    SQLITE_STATIC, SQLITE_UTF8));
}

void statement_bind_hash(struct statement *statement, const struct hash *hash)
{
	statement_bind_blob(statement, hash ? hash->bytes : NULL, HASH_SIZE);
}

int statement_step(struct statement *statement, struct error *err)
{
	int code = statement->code;

	statement->column = 0;
	if (code == SQLITE_OK)
		code = sqlite3_step(statement->handle);
	if (code == SQLITE_ROW)
		return 0;
	if (code == SQLITE_DONE)
		return CATALOG_END;
	return database_error(statement->catalog->db, code, err);
}

int statement_run(struct statement *statement, struct error *err)
{
	int r = statement_step(statement, err);

	assert(r != 0);
	statement_end(statement);
	return r < 0 ? r : 0;
}

int64_t statement_i64(struct statement *statement)
{
	return sqlite3_column_int64(statement->handle, statement->column++);
}

uint64_t statement_u64(struct statement *statement)
{
	return (uint64_t)statement_i64(statement);
}

double statement_f64(struct statement *statement)
{
	return sqlite3_column_double(statement->handle, statement->column++);
}

/* A value out of range becomes one that no checksum was made for. */
uint32_t statement_u32(struct statement *statement)
{
	uint64_t value = statement_u64(statement);

	return value <= UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

const void *statement_blob(struct statement *statement, size_t *size_out)
{
	const void *data = sqlite3_column_blob(statement->handle, statement->column);

	*size_out =
		data ? (size_t)sqlite3_column_bytes(statement->handle, statement->column)
		     : 0;
	statement->column++;
	return data;
}

const char *statement_text(struct statement *statement, size_t *size_out)
{
	const unsigned char *text =
		sqlite3_column_text(statement->handle, statement->column);

	*size_out =
		text ? (size_t)sqlite3_column_bytes(statement->handle, statement->column)
		     : 0;
	statement->column++;
	return (const char *)text;
}

static void read_exactly(struct statement *statement, void *data_out, size_t wanted)
{
	size_t size;
	const void *data = statement_blob(statement, &size);

	memset(data_out, 0, wanted);
	if (size == wanted)
		memcpy(data_out, data, wanted);
}

void statement_hash(struct statement *statement, struct hash *hash_out)
{
	read_exactly(statement, hash_out->bytes, HASH_SIZE);
}

void statement_uuid(struct statement *statement, struct uuid *uuid_out)
{
	read_exactly(statement, uuid_out->bytes, UUID_SIZE);
}

void statement_cache_done(struct statement_cache *cache)
{
	while (cache->count > 0)
		(void)sqlite3_finalize(cache->idle[--cache->count].handle);
}
