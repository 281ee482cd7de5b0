/* SPDX-License-Identifier: MIT */
#pragma once
/* The logical history: commits and the versions of every path. A version is alive in the
 * commits [first, end); the current ones have end = VERSION_CURRENT. Threads: as the
 * catalog.
 */
#include "catalog/catalog.h"
#include "merkle/manifest.h"

#include <stdbool.h>

#define VERSION_CURRENT UINT64_MAX

struct commit_row {
	uint64_t sequence;
	struct hash hash; /* of the head */
	char *head;       /* JSON; owned */
};

/* One version of one path, as the catalog keeps it. */
struct version_row {
	int64_t node;      /* row of the path, private to this catalog */
	int64_t parent;    /* row of its folder; 0 for topmost entries */
	struct bytes name; /* last component; owned */
	uint64_t first;    /* commit */
	uint64_t end;      /* commit that ended it, or VERSION_CURRENT */
	uint32_t version;
	enum entry_type type;
	uint64_t size;
	struct hash hash;
	struct entry_time mtime;
	struct entry_time ctime;
	uint64_t inode;
	char *line; /* the manifest, NUL-terminated, without newline; owned; NULL unless asked */
	size_t line_size;
};

void commit_row_done(struct commit_row *commit);
void version_row_done(struct version_row *version);

int catalog_put_commit(struct catalog *catalog, uint64_t sequence,
		       const struct hash *hash, const char *head, struct error *err);
/* The commit numbered @sequence, or the last one for VERSION_CURRENT. CATALOG_END. */
int catalog_get_commit(struct catalog *catalog, uint64_t sequence,
		       struct commit_row *commit_out, struct error *err);
/* The first commit numbered @sequence or higher. CATALOG_END. */
int catalog_next_commit(struct catalog *catalog, uint64_t sequence,
			struct commit_row *commit_out, struct error *err);
/* By the first hex digits of its hash (at least 4). -EINVAL if several match. */
int catalog_find_commit(struct catalog *catalog, const char *hex,
			struct commit_row *commit_out, struct error *err);
/* Newest first; stops at non-zero. */
int catalog_visit_commits(struct catalog *catalog,
			  int (*visit)(void *context, const struct commit_row *commit),
			  void *context, struct error *err);

/* In commit @sequence, @key has the manifest @manifest, whose line is @line (no newline).
 * Ends the current version, if any, first, or replaces it if it is of the same commit.
 * Folders on the way become nodes. -EINVAL if a later commit has changed @key. */
int catalog_put_version(struct catalog *catalog, uint64_t sequence,
			const struct manifest *manifest, const char *line,
			size_t line_size, struct error *err);
/* In commit @sequence, @key is gone. -ENOENT if it was not there. */
int catalog_end_version(struct catalog *catalog, uint64_t sequence, const uint8_t *key,
			size_t key_size, struct error *err);

/* The version of @key alive at commit @at (VERSION_CURRENT: now), with its line.
 * CATALOG_END if none. */
int catalog_get_version(struct catalog *catalog, const uint8_t *key, size_t key_size,
			uint64_t at, struct version_row *version_out, struct error *err);
/* The newest version number that @key ever had; 0 if none. */
int catalog_last_version(struct catalog *catalog, const uint8_t *key, size_t key_size,
			 uint32_t *version_out, struct error *err);
/* The newest version of any file with this content (size and hash), current or not, with
 * its line: for dedup of whole files. CATALOG_END if none. */
int catalog_find_content(struct catalog *catalog, const struct hash *hash, uint64_t size,
			 struct version_row *version_out, struct error *err);
