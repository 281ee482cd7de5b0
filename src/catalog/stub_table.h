/* SPDX-License-Identifier: MIT */
#pragma once
/* The table of stubs of one file system (docs/tier.md): a database of its own, because
 * nothing in it can be derived from volumes. What a call has written is durable when it
 * returns; threads that write at the same time share one flush, and its error.
 *
 * Threads: internally locked; the lock is held over the I/O of SQLite.
 */
#include "base/cleanup.h"
#include "catalog/catalog.h"

#include <stddef.h>
#include <stdint.h>

struct error;
struct stub_table;

#define STUB_HANDLE_MAX 132u /* bytes */

/* PREPARED --content may be gone from here on--> PUNCHED --recalled--> no row
 * PREPARED --given up--> no row */
enum stub_state {
	STUB_PREPARED = 1, /* about to become a stub: the file still has its content */
	STUB_PUNCHED,      /* the content is, wholly or in part, in the archive only */
};

struct stub_row {
	uint8_t handle[STUB_HANDLE_MAX]; /* of the file; tier/handle.h */
	size_t handle_size;
	enum stub_state state;
	uint64_t id; /* the marker has the same one */
	uint64_t size;
	struct hash hash;    /* of the content */
	struct hash archive; /* archive_id() of the one that has it */
	int64_t time;        /* when it became a stub: nanoseconds since 1970 */
	char *path;          /* owned: at that time */
	char *problem;       /* owned: why the last recall failed; NULL: it did not */
};

void stub_row_done(struct stub_row *row);

/* Open the table in @path, or with @create make one if there is none. -ENOENT; -EBADMSG. */
int stub_table_open(const char *path, bool create, struct stub_table **table_out,
		    struct error *err);
void stub_table_free(struct stub_table *table);
DEFINE_AUTOPTR(stub_table);

/* Add a row, or replace the one with its handle. */
int stub_table_put(struct stub_table *table, const struct stub_row *row,
		   struct error *err);
/* Add @count rows at once: all or none. */
int stub_table_put_all(struct stub_table *table, const struct stub_row *rows,
		       size_t count, struct error *err);
int stub_table_remove(struct stub_table *table, const struct stub_row *row,
		      struct error *err);

/* The row of @handle, or the first one behind it; stub_row_done(). CATALOG_END. -EBADMSG: a
 * row that does not match its checksum. */
int stub_table_get(struct stub_table *table, const uint8_t *handle, size_t size,
		   struct stub_row *row_out, struct error *err);
int stub_table_next(struct stub_table *table, const uint8_t *handle, size_t size,
		    struct stub_row *row_out, struct error *err);

/* How many stubs there are, and the bytes of their contents. */
int stub_table_totals(struct stub_table *table, uint64_t *count_out, uint64_t *size_out,
		      struct error *err);
