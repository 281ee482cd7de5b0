/* SPDX-License-Identifier: MIT */
/* The tables. They can be read with the sqlite3 program:
 *
 *     node         a path: its last component and its folder's node. Never changed or
 *                  deleted. 0 is the top.
 *     version      one version of a path: alive in the commits [first, end); current ones end
 *                  at 2^63 - 1. Narrow, because folders are listed from it.
 *     manifest     the versions' JSON lines
 *     folder       versions that are folders, by the folder above them: to count these
 *     link         versions of files with several names; `path` is the first eight bytes of
 *                  the hash of the manifest's `link`
 *     link_group   how many names a file has from commit `first` on, and the lowest node
 *     commit_head  the heads
 *     volume       id is private; segments, pages and stripes name volumes by it
 *     stripe       info is the entry of docs/format.md 4
 *     outer_group, outer_shard  the outer code: members have no runs
 *     segment, page  the places of things; the same one may stand in a volume twice
 *     ledger       when each stripe was verified last, and what was found; in no dump
 *     health_run   the runs that did it
 *
 * `content` is the first eight bytes of a file's hash. Its index is small, has the size, so
 * that statistics need nothing else, and is sorted by age within equal content: the newest
 * copy is the one most likely to be whole.
 *
 * SQLite keeps the text of each statement as it stands here, which makes the check simple:
 * every text in the file must be one of these.
 */
#include "catalog/database.h"

#include "base/error.h"
#include "catalog/handle.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define APPLICATION_ID 0x42464341 /* "BFCA" */
#define SCHEMA_VERSION 5

static const char *const objects[] = {
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY, checksum INTEGER) WITHOUT "
	"ROWID",

	"CREATE TABLE node(parent INTEGER, name BLOB, id INTEGER, checksum INTEGER,"
	" PRIMARY KEY(parent, name)) WITHOUT ROWID",

	"CREATE TABLE version(node INTEGER, first INTEGER, end INTEGER, version INTEGER,"
	" type INTEGER, size INTEGER, hash BLOB, mtime INTEGER, mtime_ns INTEGER,"
	" ctime INTEGER, ctime_ns INTEGER, inode INTEGER, manifest INTEGER,"
	" checksum INTEGER, content BLOB, PRIMARY KEY(node, first)) WITHOUT ROWID",

	"CREATE INDEX version_content ON version(content, first DESC, size)"
	" WHERE content IS NOT NULL",

	/* What a commit changed: for mounts that saw the one before. */
	"CREATE INDEX version_first ON version(first)",

	"CREATE INDEX version_end ON version(end) WHERE end < 9223372036854775807",

	"CREATE TABLE link(node INTEGER, first INTEGER, path INTEGER, inode INTEGER,"
	" PRIMARY KEY(node, first)) WITHOUT ROWID",

	"CREATE INDEX link_path ON link(path, inode, node)",

	"CREATE TABLE link_group(path INTEGER, inode INTEGER, first INTEGER,"
	" count INTEGER, node INTEGER, checksum INTEGER,"
	" PRIMARY KEY(path, inode, first)) WITHOUT ROWID",

	"CREATE TABLE folder(parent INTEGER, node INTEGER, first INTEGER, end INTEGER,"
	" PRIMARY KEY(parent, node, first)) WITHOUT ROWID",

	"CREATE TABLE manifest(id INTEGER PRIMARY KEY, line TEXT)",

	"CREATE TABLE commit_head(sequence INTEGER PRIMARY KEY, hash BLOB, head TEXT,"
	" checksum INTEGER)",

	"CREATE INDEX commit_hash ON commit_head(hash)",

	"CREATE TABLE volume(id INTEGER PRIMARY KEY, uuid BLOB UNIQUE, number INTEGER,"
	" label TEXT, file TEXT, role INTEGER, sealed INTEGER, record_count INTEGER,"
	" record_offset INTEGER, record_hash BLOB, log_end INTEGER, stripe_count INTEGER,"
	" payload_size INTEGER, parity_size INTEGER, retired INTEGER, checksum INTEGER)",

	"CREATE TABLE stripe(id INTEGER PRIMARY KEY, volume INTEGER, log_start INTEGER,"
	" number INTEGER, info BLOB, checksum INTEGER, UNIQUE(volume, log_start, "
	"number))",

	"CREATE TABLE segment(id BLOB, position INTEGER, volume INTEGER, log_offset "
	"INTEGER,"
	" content_size INTEGER, stored_size INTEGER, frame_count INTEGER, kind INTEGER,"
	" checksum INTEGER, PRIMARY KEY(id, position, volume, log_offset)) WITHOUT ROWID",

	"CREATE TABLE page(hash BLOB, volume INTEGER, log_offset INTEGER,"
	" stored_size INTEGER, kind INTEGER, checksum INTEGER,"
	" PRIMARY KEY(hash, volume, log_offset)) WITHOUT ROWID",

	"CREATE TABLE outer_group(id BLOB PRIMARY KEY, data INTEGER, parity INTEGER,"
	" size INTEGER, checksum INTEGER) WITHOUT ROWID",

	"CREATE TABLE outer_shard(id BLOB, shard INTEGER, volume INTEGER,"
	" log_start INTEGER, log_size INTEGER, runs BLOB, checksum INTEGER,"
	" PRIMARY KEY(id, shard, volume, log_start)) WITHOUT ROWID",

	"CREATE INDEX outer_member ON outer_shard(volume, log_start) WHERE runs IS NULL",

	"CREATE TABLE ledger(volume BLOB, offset INTEGER, verified INTEGER, run INTEGER,"
	" damaged INTEGER, lost INTEGER, margin INTEGER, checksum INTEGER,"
	" PRIMARY KEY(volume, offset)) WITHOUT ROWID",

	"CREATE TABLE health_run(started INTEGER PRIMARY KEY, ended INTEGER,"
	" repair INTEGER, deep INTEGER, bytes INTEGER, found INTEGER, repaired INTEGER,"
	" lost INTEGER, checksum INTEGER)",
};

enum { OBJECT_COUNT = sizeof(objects) / sizeof(objects[0]) };

int schema_create(struct sqlite3 *db, struct error *err)
{
	char sql[128];
	int r;

	for (size_t i = 0; i < OBJECT_COUNT; i++) {
		r = database_run(db, objects[i], err);
		if (r < 0)
			return r;
	}
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA application_id = %d; PRAGMA user_version = %d",
		       APPLICATION_ID, SCHEMA_VERSION);
	return database_run(db, sql, err);
}

static int prepare(struct sqlite3 *db, const char *sql, sqlite3_stmt **statement_out,
		   struct error *err)
{
	int code = sqlite3_prepare_v2(db, sql, -1, statement_out, NULL);

	return code == SQLITE_OK ? 0 : database_error(db, code, err);
}

static int get_number(struct sqlite3 *db, const char *sql, int *number_out,
		      struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int code;
	int r;

	r = prepare(db, sql, &statement, err);
	if (r < 0)
		return r;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*number_out = sqlite3_column_int(statement, 0);
	else
		r = database_error(db, code, err);
	(void)sqlite3_finalize(statement);
	return r;
}

static bool is_object(const char *text)
{
	for (size_t i = 0; i < OBJECT_COUNT; i++)
		if (text && strcmp(text, objects[i]) == 0)
			return true;
	return false;
}

static int check_objects(struct sqlite3 *db, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	size_t found = 0, strange = 0;
	int code;
	int r;

	r = prepare(db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL", &statement,
		    err);
	if (r < 0)
		return r;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (is_object((const char *)sqlite3_column_text(statement, 0)))
			found++;
		else
			strange++;
	}
	if (code != SQLITE_DONE)
		r = database_error(db, code, err);
	else if (found != OBJECT_COUNT || strange)
		r = catalog_damaged(err, "strange tables");
	(void)sqlite3_finalize(statement);
	return r;
}

int schema_check(struct sqlite3 *db, struct error *err)
{
	int application = 0, version = 0;
	int r;

	r = get_number(db, "PRAGMA application_id", &application, err);
	if (r < 0)
		return r;
	if (application != APPLICATION_ID)
		return catalog_damaged(err, "not a catalog");
	r = get_number(db, "PRAGMA user_version", &version, err);
	if (r < 0)
		return r;
	if (version > SCHEMA_VERSION)
		return error_set(err, -EPROTONOSUPPORT,
				 "the catalog was made by a newer version of blockframe");
	if (version != SCHEMA_VERSION)
		return catalog_damaged(err, "an old version");
	return check_objects(db, err);
}
