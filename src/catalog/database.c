/* SPDX-License-Identifier: MIT */
/* The file is in WAL mode: one writer, readers that never wait for it. synchronous=NORMAL
 * means that a power cut may take the last transactions but not the file's consistency; the
 * archive catches up from the volumes.
 *
 * WAL needs a shared index file beside the database. Where it can't be made (a read-only
 * medium, somebody else's folder, a disk without a free block) the file is opened without locks: as one that does not
 * change, or, if a killed writer left a log, with the log's index in private memory, which
 * SQLite does in its exclusive locking mode. Nobody can write on a read-only medium. In a
 * folder that only we cannot write to, a writer that comes later would not be noticed; rows
 * that it tears then fail their checksums.
 *
 * The file is foreign bytes: triggers and views are off, the schema is compared, and nothing
 * is mapped into memory, so that a media error is an error and not a signal.
 */
#include "catalog/database.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/handle.h"

#include <errno.h>
#include <libgen.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char common_settings[] = "PRAGMA cache_size = -8192;"
				      "PRAGMA mmap_size = 0;"
				      "PRAGMA cell_size_check = ON;"
				      "PRAGMA trusted_schema = OFF;";

static const char writer_settings[] = "PRAGMA synchronous = NORMAL;"
				      "PRAGMA journal_size_limit = 67108864;";

int catalog_damaged(struct error *err, const char *what)
{
	return error_set(err, -EBADMSG,
			 "catalog is damaged (%s): run 'blockframe catalog rebuild'",
			 what);
}

static int io_error(struct sqlite3 *db, int code, struct error *err)
{
	int cause = sqlite3_system_errno(db);

	switch (code) {
	case SQLITE_IOERR_NOMEM:
		return error_set(err, -ENOMEM, "no memory for the catalog");
	case SQLITE_IOERR_SHORT_READ:
	case SQLITE_IOERR_CORRUPTFS:
		return catalog_damaged(err, sqlite3_errmsg(db));
	default:
		break;
	}
	if (cause == ENOSPC || cause == EDQUOT)
		return error_set_errno(err, -cause, "catalog");
	return error_set(err, -EIO, "catalog: %s (%s)", sqlite3_errmsg(db),
			 strerror(cause));
}

static int open_error(struct sqlite3 *db, struct error *err)
{
	int cause = sqlite3_system_errno(db);

	return error_set(err, cause ? -cause : -EIO, "catalog: cannot be opened (%s)",
			 strerror(cause ? cause : EIO));
}

int database_error(struct sqlite3 *db, int code, struct error *err)
{
	switch (code & 0xff) {
	case SQLITE_IOERR:
		return io_error(db, code, err);
	case SQLITE_CANTOPEN:
		return open_error(db, err);
	case SQLITE_NOMEM:
		return error_set(err, -ENOMEM, "no memory for the catalog");
	case SQLITE_FULL:
		return error_set(err, -ENOSPC, "catalog: no space left");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return error_set(err, -EBUSY, "catalog: in use (%s)", sqlite3_errmsg(db));
	case SQLITE_READONLY:
		return error_set(err, -EROFS, "catalog: read-only");
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return error_set(err, -EACCES, "catalog: %s", sqlite3_errmsg(db));
	case SQLITE_TOOBIG:
		return error_set(err, -EFBIG, "catalog: %s", sqlite3_errmsg(db));
	default: /* corrupt, not a database, or not our tables */
		return catalog_damaged(err, sqlite3_errmsg(db));
	}
}

int database_run(struct sqlite3 *db, const char *sql, struct error *err)
{
	int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : database_error(db, code, err);
}

void database_close(struct sqlite3 *db)
{
	(void)sqlite3_close_v2(db); /* a close that fails has nothing left to lose */
}

/* How to open. The settings come before anything that reads the file. */
struct way {
	int flags;
	const char *vfs;
	const char *settings;
};

static const struct way to_create = { SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL,
				      "" };
static const struct way to_use = { SQLITE_OPEN_READWRITE, NULL, "" };
static const struct way unchanging = { SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL, "" };
static const struct way without_locks = { SQLITE_OPEN_READONLY, "unix-none",
					  "PRAGMA locking_mode = EXCLUSIVE" };

static int configure(struct sqlite3 *db, const struct way *way, struct error *err)
{
	int r;

	(void)sqlite3_busy_timeout(db, DATABASE_BUSY_MS);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	r = database_run(db, way->settings, err);
	return r < 0 ? r : database_run(db, common_settings, err);
}

static int connect(const char *path, const struct way *way, struct sqlite3 **db_out,
		   struct error *err)
{
	int flags = way->flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	struct sqlite3 *db = NULL;
	int code;
	int r;

	code = sqlite3_open_v2(path, &db, flags, way->vfs);
	if (!db)
		return error_set(err, -ENOMEM, "no memory for the catalog");
	r = code == SQLITE_OK ? configure(db, way, err) : database_error(db, code, err);
	if (r < 0) {
		database_close(db);
		return r;
	}
	*db_out = db;
	return 0;
}

/* -ENOENT, or -EBADMSG for what can't be a database. */
static int check_file(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set_errno(err, -errno, "catalog '%s'", path);
	if (!S_ISREG(st.st_mode))
		return catalog_damaged(err, "not a file");
	if (st.st_size == 0)
		return catalog_damaged(err, "empty");
	return 0;
}

static bool folder_writable(const char *path)
{
	autofree char *copy = strdup(path);

	return !copy || access(dirname(copy), W_OK) == 0;
}

static int open_existing(const char *path, const struct way *way, struct sqlite3 **db_out,
			 struct error *err)
{
	struct sqlite3 *db = NULL;
	int r;

	r = connect(path, way, &db, err);
	if (r == 0)
		r = schema_check(db, err);
	if (r == 0 && !sqlite3_db_readonly(db, "main"))
		r = database_run(db, writer_settings, err);
	if (r < 0) {
		database_close(db);
		return r;
	}
	*db_out = db;
	return 0;
}

static bool has_log(const char *path)
{
	autofree char *name = NULL;
	struct stat st;

	if (asprintf(&name, "%s-wal", path) < 0) {
		name = NULL; /* undefined after a failure */
		return true;
	}
	return stat(name, &st) == 0 && st.st_size > 0;
}

/* "file:PATH?immutable=1". NULL: no memory. */
static char *unchanging_uri(const char *path)
{
	struct text uri = { 0 };
	int r;

	r = text_append(&uri, "file:");
	for (; *path && r == 0; path++)
		r = strchr("%?#", *path) ? text_appendf(&uri, "%%%02x", *path)
					 : text_append_char(&uri, *path);
	if (r == 0)
		r = text_append(&uri, "?immutable=1");
	if (r == 0)
		return text_take(&uri);
	text_done(&uri);
	return NULL;
}

static int open_without_writing(const char *path, struct sqlite3 **db_out,
				struct error *err)
{
	autofree char *uri = NULL;

	if (has_log(path))
		return open_existing(path, &without_locks, db_out, err);
	uri = unchanging_uri(path);
	if (!uri)
		return error_set(err, -ENOMEM, "no memory for the catalog");
	return open_existing(uri, &unchanging, db_out, err);
}

/* Why @path can only be read, if that is what @r, the result of opening it, means. */
static int read_only_reason(const char *path, int r)
{
	if (r == 0 || r == -EPROTONOSUPPORT)
		return 0;
	if (r == -ENOSPC || r == -EDQUOT)
		return r;
	return folder_writable(path) ? 0 : -EROFS;
}

int database_open(const char *path, bool create, struct sqlite3 **db_out,
		  int *read_only_out, struct error *err)
{
	int reason;
	int r;

	*read_only_out = 0;
	if (create)
		return connect(path, &to_create, db_out, err);
	r = check_file(path, err);
	if (r < 0)
		return r;
	r = open_existing(path, &to_use, db_out, err);
	reason = read_only_reason(path, r);
	if (!reason)
		return r;
	*read_only_out = reason;
	return open_without_writing(path, db_out, err);
}
