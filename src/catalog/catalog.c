/* SPDX-License-Identifier: MIT */
/* Handles and transactions.
 *
 * Node numbers are handed out by a counter in `meta`, which is read when a transaction begins
 * and written before it is committed. A number is never used twice, and what was found out
 * about nodes while writing (the folder used last) is forgotten with the transaction.
 *
 * SQLite may roll a transaction back by itself (disk full). What follows then must not be
 * taken for a transaction of its own, so that is asked before every write.
 */
#include "catalog/catalog.h"

#include "base/error.h"
#include "base/random.h"
#include "catalog/checksum.h"
#include "catalog/database.h"
#include "catalog/entry.h"
#include "catalog/handle.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

static const char sql_get_meta[] = "SELECT value, checksum FROM meta WHERE name = ?";
static const char sql_put_meta[] = "INSERT OR REPLACE INTO meta VALUES(?, ?, ?)";
static const char sql_begin[] = "BEGIN IMMEDIATE";
static const char sql_commit[] = "COMMIT";

static const char archive_name[] = "archive";
static const char next_node_name[] = "next_node";
static const char generation_name[] = "generation";

static uint32_t meta_checksum(const char *name, uint64_t value)
{
	return checksum_of(checksum_bytes(name, strlen(name)), value);
}

static int load_archive_id(struct catalog *catalog, struct error *err)
{
	autostatement struct statement s = { 0 };
	uint64_t sum;
	int r;

	statement_begin(&s, catalog, sql_get_meta);
	statement_bind_text(&s, archive_name, strlen(archive_name));
	r = statement_step(&s, err);
	if (r < 0)
		return r;
	if (r == CATALOG_END)
		return catalog_damaged(err, "no archive id");
	statement_hash(&s, &catalog->archive_id);
	sum = checksum_bytes(catalog->archive_id.bytes, HASH_SIZE);
	if (statement_u64(&s) != meta_checksum(archive_name, sum))
		return catalog_damaged(err, "archive id");
	return 0;
}

static int store_archive_id(struct catalog *catalog, struct error *err)
{
	autostatement struct statement s = { 0 };
	uint64_t sum = checksum_bytes(catalog->archive_id.bytes, HASH_SIZE);

	statement_begin(&s, catalog, sql_put_meta);
	statement_bind_text(&s, archive_name, strlen(archive_name));
	statement_bind_hash(&s, &catalog->archive_id);
	statement_bind_u64(&s, meta_checksum(archive_name, sum));
	return statement_run(&s, err);
}

/* A number under @name. */
static int load_number(struct catalog *catalog, const char *name, int64_t *value_out,
		       struct error *err)
{
	autostatement struct statement s = { 0 };
	int64_t value;
	int r;

	statement_begin(&s, catalog, sql_get_meta);
	statement_bind_text(&s, name, strlen(name));
	r = statement_step(&s, err);
	if (r < 0)
		return r;
	if (r == CATALOG_END)
		return catalog_damaged(err, "a number is missing");
	value = statement_i64(&s);
	if (statement_u64(&s) != meta_checksum(name, (uint64_t)value) || value < 1)
		return catalog_damaged(err, "a number");
	*value_out = value;
	return 0;
}

static int store_number(struct catalog *catalog, const char *name, int64_t value,
			struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put_meta);
	statement_bind_text(&s, name, strlen(name));
	statement_bind_i64(&s, value);
	statement_bind_u64(&s, meta_checksum(name, (uint64_t)value));
	return statement_run(&s, err);
}

static int load_next_node(struct catalog *catalog, struct error *err)
{
	int r;

	r = load_number(catalog, next_node_name, &catalog->next_node, err);
	if (r == 0)
		catalog->stored_node = catalog->next_node;
	return r;
}

static int store_next_node(struct catalog *catalog, struct error *err)
{
	if (catalog->next_node == catalog->stored_node)
		return 0;
	return store_number(catalog, next_node_name, catalog->next_node, err);
}

static int load_generation(struct catalog *catalog, struct error *err)
{
	int64_t value = 0;
	int r;

	r = load_number(catalog, generation_name, &value, err);
	if (r == 0)
		catalog->generation = (uint32_t)value;
	return r;
}

static int store_generation(struct catalog *catalog, struct error *err)
{
	int r;

	r = random_bytes(&catalog->generation, sizeof(catalog->generation), err);
	if (r < 0)
		return r;
	if (catalog->generation == 0)
		catalog->generation = 1;
	return store_number(catalog, generation_name, catalog->generation, err);
}

uint32_t catalog_generation(const struct catalog *catalog)
{
	return catalog->generation;
}

static int catalog_new(const char *path, bool create, struct catalog **catalog_out,
		       struct error *err)
{
	autoptr(catalog) catalog = calloc(1, sizeof(*catalog));
	int r;

	if (!catalog) {
		(void)error_set(err, -ENOMEM, "no memory for the catalog");
		return -ENOMEM;
	}
	r = database_open(path, create, &catalog->db, &catalog->read_only, err);
	if (r < 0)
		return r;
	*catalog_out = take_ptr(catalog);
	return 0;
}

int catalog_open(const char *path, struct catalog **catalog_out, struct error *err)
{
	autoptr(catalog) catalog = NULL;
	int r;

	r = catalog_new(path, false, &catalog, err);
	if (r < 0)
		return r;
	r = load_archive_id(catalog, err);
	if (r == 0)
		r = load_generation(catalog, err);
	if (r < 0)
		return r;
	*catalog_out = take_ptr(catalog);
	return 0;
}

static int remove_file(const char *path, const char *suffix, struct error *err)
{
	autofree char *name = malloc(strlen(path) + strlen(suffix) + 1);

	if (!name)
		return error_set(err, -ENOMEM, "no memory for a name");
	(void)stpcpy(stpcpy(name, path), suffix);
	if (unlink(name) < 0 && errno != ENOENT)
		return error_set_errno(err, -errno, "'%s' cannot be replaced", name);
	return 0;
}

/* The old -wal goes first: beside a new database it would be taken for its own. */
static int remove_old(const char *path, struct error *err)
{
	static const char *const suffixes[] = { "-wal", "-shm", "-journal", "" };
	int r;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		r = remove_file(path, suffixes[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_new(struct catalog *catalog, struct error *err)
{
	int r;

	r = database_run(catalog->db,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
			 "PRAGMA journal_size_limit = 67108864",
			 err);
	if (r < 0)
		return r;
	r = database_run(catalog->db, sql_begin, err);
	if (r < 0)
		return r;
	r = schema_create(catalog->db, err);
	if (r < 0)
		return r;
	r = store_archive_id(catalog, err);
	if (r == 0)
		r = store_generation(catalog, err);
	if (r < 0)
		return r;
	catalog->next_node = 1;
	r = store_next_node(catalog, err);
	if (r < 0)
		return r;
	return database_run(catalog->db, sql_commit, err);
}

int catalog_create(const char *path, const struct hash *archive_id,
		   struct catalog **catalog_out, struct error *err)
{
	autoptr(catalog) catalog = NULL;
	int r;

	r = remove_old(path, err);
	if (r < 0)
		return r;
	r = catalog_new(path, true, &catalog, err);
	if (r < 0)
		return r;
	catalog->archive_id = *archive_id;
	r = fill_new(catalog, err);
	if (r < 0) {
		(void)remove_old(path, NULL); /* it is no catalog yet */
		return error_prefix(err, r, "new catalog '%s'", path);
	}
	*catalog_out = take_ptr(catalog);
	return 0;
}

void catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	catalog_rollback(catalog);
	statement_cache_done(&catalog->statements);
	database_close(catalog->db);
	free(catalog);
}

void catalog_archive_id(const struct catalog *catalog, struct hash *id_out)
{
	*id_out = catalog->archive_id;
}

int catalog_begin(struct catalog *catalog, struct error *err)
{
	int r;

	assert(!catalog->writing);
	if (sqlite3_db_readonly(catalog->db, "main"))
		return error_set_errno(err,
				       catalog->read_only ? catalog->read_only : -EROFS,
				       "catalog: can only be read here");
	r = database_run(catalog->db, sql_begin, err);
	if (r < 0)
		return r;
	catalog->writing = true;
	catalog->folder = 0;
	r = load_next_node(catalog, err);
	if (r < 0)
		catalog_rollback(catalog);
	return r;
}

static int check_writing(const struct catalog *catalog, struct error *err)
{
	if (sqlite3_get_autocommit(catalog->db))
		return error_set(err, -EIO,
				 "catalog: the transaction was given up after an error");
	return 0;
}

int catalog_commit(struct catalog *catalog, struct error *err)
{
	int r;

	assert(catalog->writing);
	r = check_writing(catalog, err);
	if (r == 0)
		r = store_next_node(catalog, err);
	if (r == 0)
		r = database_run(catalog->db, sql_commit, err);
	if (r < 0) {
		catalog_rollback(catalog);
		return r;
	}
	catalog->writing = false;
	return 0;
}

void catalog_rollback(struct catalog *catalog)
{
	if (!catalog->db || !catalog->writing)
		return;
	if (!sqlite3_get_autocommit(catalog->db))
		(void)database_run(catalog->db, "ROLLBACK",
				   NULL); /* closing does it too */
	catalog->writing = false;
}

int catalog_enter(struct catalog *catalog, bool *own_out, struct error *err)
{
	*own_out = !catalog->writing;
	return *own_out ? catalog_begin(catalog, err) : check_writing(catalog, err);
}

int catalog_leave(struct catalog *catalog, bool own, int r, struct error *err)
{
	if (!own)
		return r;
	if (r == 0)
		return catalog_commit(catalog, err);
	catalog_rollback(catalog);
	return r;
}
