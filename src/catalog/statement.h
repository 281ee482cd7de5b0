/* SPDX-License-Identifier: MIT */
#pragma once
/* SQL statements in use, for this folder only.
 *
 *     autostatement struct statement s = { 0 };
 *
 *     statement_begin(&s, catalog, sql);
 *     statement_bind_i64(&s, node);             first ?, then the next one, ...
 *     while ((r = statement_step(&s, err)) == 0)
 *             size = statement_i64(&s);         first column, then the next one, ...
 *
 * Errors of begin and bind stick and come out of step or run. Statements that are ended wait
 * in the catalog for the next use, found by the address of their text, which is a constant.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;
struct error;
struct hash;
struct sqlite3_stmt;
struct uuid;

#define STATEMENTS_IDLE_MAX 64

struct statement_cache {
	struct {
		const char *sql;
		struct sqlite3_stmt *handle; /* reset */
	} idle[STATEMENTS_IDLE_MAX];
	size_t count;
};

struct statement {
	struct catalog *catalog; /* borrowed; NULL: not begun */
	const char *sql;
	struct sqlite3_stmt *handle;
	int code;      /* SQLite's first error */
	int parameter; /* bound so far */
	int column;    /* next one to read */
};

void statement_begin(struct statement *statement, struct catalog *catalog,
		     const char *sql);
/* Give it back; harmless when not begun. */
void statement_end(struct statement *statement);
#define autostatement __attribute__((__cleanup__(statement_end)))

/* Bytes must stay until the statement is ended or run; NULL binds NULL. */
void statement_bind_i64(struct statement *statement, int64_t value);
void statement_bind_u64(struct statement *statement, uint64_t value); /* same bits */
void statement_bind_f64(struct statement *statement, double value);
void statement_bind_blob(struct statement *statement, const void *data, size_t size);
void statement_bind_text(struct statement *statement, const char *text, size_t size);
void statement_bind_hash(struct statement *statement, const struct hash *hash);

/* To the next row: 0, CATALOG_END, or an error. */
int statement_step(struct statement *statement, struct error *err);

/* For statements without rows: run, and end. */
int statement_run(struct statement *statement, struct error *err);

/* The next column of the row. Wrong types read as 0 or empty; checksums find them. */
int64_t statement_i64(struct statement *statement);
uint64_t statement_u64(struct statement *statement);
uint32_t statement_u32(struct statement *statement);
double statement_f64(struct statement *statement);
/* Borrowed until the next step; NULL if empty. */
const void *statement_blob(struct statement *statement, size_t *size_out);
const char *statement_text(struct statement *statement, size_t *size_out);
/* Zero unless it is of exactly that size. */
void statement_hash(struct statement *statement, struct hash *hash_out);
void statement_uuid(struct statement *statement, struct uuid *uuid_out);

/* Free all that are idle. */
void statement_cache_done(struct statement_cache *cache);
