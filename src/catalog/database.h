/* SPDX-License-Identifier: MIT */
#pragma once
/* SQLite as the catalog uses it: how a file is opened, how errors are named, how the schema
 * is made and checked. For this folder only.
 */
#include <stdbool.h>

struct error;
struct sqlite3;

#define DATABASE_BUSY_MS 10000 /* how long one writer waits for another */

/* Open an existing file, or with @create an empty new one. -ENOENT, -EBADMSG. Falls back to
 * reading without locks where the folder can't be written to, or nothing can be added to it:
 * then *read_only_out is why (-EROFS, -ENOSPC, -EDQUOT), else 0. */
int database_open(const char *path, bool create, struct sqlite3 **db_out,
		  int *read_only_out, struct error *err);

/* Close it; nothing may be in use. NULL is allowed. */
void database_close(struct sqlite3 *db);

/* Run SQL that gives no rows. */
int database_run(struct sqlite3 *db, const char *sql, struct error *err);

/* Put the result @code of SQLite's last call into *err. Returns a negative errno. */
int database_error(struct sqlite3 *db, int code, struct error *err);

/* Make the tables (in a transaction of the caller), or compare them with what they should
 * be: -EBADMSG, or -EPROTONOSUPPORT if a newer version made them. */
int schema_create(struct sqlite3 *db, struct error *err);
int schema_check(struct sqlite3 *db, struct error *err);
