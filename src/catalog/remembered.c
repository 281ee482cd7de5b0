/* SPDX-License-Identifier: MIT */
/* One row of `meta` each: the hash and the numbers as one blob. One that does not match its
 * checksum is as good as none.
 */
#include "catalog/remembered.h"

#include "base/bytes.h"
#include "base/error.h"
#include "catalog/checksum.h"
#include "catalog/database.h"
#include "catalog/handle.h"

#include <assert.h>
#include <sqlite3.h>
#include <string.h>

static const char sql_get[] = "SELECT value, checksum FROM meta WHERE name = ?";
static const char sql_put[] = "INSERT OR REPLACE INTO meta VALUES(?, ?, ?)";

struct remembered_row {
	struct hash cause;
	le64 numbers[REMEMBERED_MAX];
};
static_assert(sizeof(struct remembered_row) == HASH_SIZE + 8 * REMEMBERED_MAX,
	      "no padding");

static uint32_t row_checksum(const char *name, const void *data, size_t size)
{
	return checksum_of(checksum_bytes(name, strlen(name)),
			   checksum_bytes(data, size));
}

static size_t row_size(size_t count)
{
	assert(count <= REMEMBERED_MAX);
	return HASH_SIZE + count * sizeof(le64);
}

int catalog_recall(struct catalog *catalog, const char *name, const struct hash *cause,
		   uint64_t *numbers, size_t count, struct error *err)
{
	autostatement struct statement s = { 0 };
	struct remembered_row row;
	const void *blob;
	size_t size;
	int r;

	statement_begin(&s, catalog, sql_get);
	statement_bind_text(&s, name, strlen(name));
	r = statement_step(&s, err);
	if (r != 0)
		return r;
	blob = statement_blob(&s, &size);
	if (size != row_size(count))
		return CATALOG_END;
	memcpy(&row, blob, size);
	if (statement_u64(&s) != row_checksum(name, &row, size) ||
	    !hash_equal(&row.cause, cause))
		return CATALOG_END;
	for (size_t i = 0; i < count; i++)
		numbers[i] = le64_get(row.numbers[i]);
	return 0;
}

static int put_row(struct catalog *catalog, const char *name,
		   const struct remembered_row *row, size_t size, struct error *err)
{
	autostatement struct statement s = { 0 };

	statement_begin(&s, catalog, sql_put);
	statement_bind_text(&s, name, strlen(name));
	statement_bind_blob(&s, row, size);
	statement_bind_u64(&s, row_checksum(name, row, size));
	return statement_run(&s, err);
}

int catalog_remember(struct catalog *catalog, const char *name, const struct hash *cause,
		     const uint64_t *numbers, size_t count, struct error *err)
{
	struct remembered_row row = { .cause = *cause };
	bool own;
	int r;

	for (size_t i = 0; i < count; i++)
		row.numbers[i] = le64_make(numbers[i]);
	(void)sqlite3_busy_timeout(catalog->db, 0);
	r = catalog_enter(catalog, &own, err);
	if (r == 0) {
		r = put_row(catalog, name, &row, row_size(count), err);
		r = catalog_leave(catalog, own, r, err);
	}
	(void)sqlite3_busy_timeout(catalog->db, DATABASE_BUSY_MS);
	return r;
}
