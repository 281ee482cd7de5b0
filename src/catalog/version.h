/* SPDX-License-Identifier: MIT */
#pragma once
/* Rows of versions, read with their checksums and written. For this folder only. */
#include "catalog/history.h"
#include "catalog/node.h"
#include "catalog/statement.h"

/* For SELECT: the columns of `version v`, and of `manifest m` for those who want lines. */
#define VERSION_COLUMNS                                                       \
	"v.node, v.first, v.end, v.version, v.type, v.size, v.hash, v.mtime," \
	" v.mtime_ns, v.ctime, v.ctime_ns, v.inode, v.manifest, v.checksum"
#define VERSION_LINE "m.line"
#define VERSION_JOIN_LINE " LEFT JOIN manifest m ON m.id = v.manifest "

#define VERSION_CONTENT_SIZE 8 /* bytes of a hash in the index */

/* The largest number that a commit may have, and "now" in queries: alive at @at are those
 * with first <= at and end > at. */
#define COMMIT_MAX ((uint64_t)INT64_MAX - 1)
int64_t version_at(uint64_t at);

/* A row with what callers do not see. */
struct stored_version {
	struct version_row row; /* name and line are borrowed */
	int64_t manifest;       /* row of the line */
	uint32_t line_checksum;
};

/* Read the columns of VERSION_COLUMNS and, if asked, VERSION_LINE. They must be of @node,
 * whose last component is @name (borrowed). -EBADMSG. What is read is borrowed until the
 * next step. */
int version_read(struct statement *statement, const struct node *node,
		 const uint8_t *name, size_t name_size, bool with_line,
		 struct stored_version *version_out, struct error *err);

/* The same for a row that was found without its path: that comes from the line, and is
 * looked up. @key has MANIFEST_KEY_MAX bytes. */
int version_read_anywhere(struct statement *statement, uint8_t *key, size_t *key_size_out,
			  struct stored_version *version_out, struct error *err);

/* -EBADMSG unless the line of @row is that of @key. */
int version_check_key(const struct version_row *row, const uint8_t *key, size_t key_size,
		      struct error *err);

/* A copy of @row that owns its bytes; @row_out is overwritten. */
int version_copy(const struct version_row *row, struct version_row *row_out,
		 struct error *err);

/* Insert with a new line; change the end; remove with its line. In a transaction. */
int version_insert(struct catalog *catalog, struct stored_version *version,
		   struct error *err);
int version_end(struct catalog *catalog, struct stored_version *version, uint64_t end,
		struct error *err);
/* Let it be alive in the commits [first, end). */
int version_move(struct catalog *catalog, struct stored_version *version, uint64_t first,
		 uint64_t end, struct error *err);
int version_remove(struct catalog *catalog, const struct stored_version *version,
		   struct error *err);
