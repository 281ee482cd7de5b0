/* SPDX-License-Identifier: MIT */
#pragma once
/* Small archives in temporary folders, for tests. Commits go straight through the appender;
 * file number i is called fNNNNNN, its content follows from a seed, and it stands in a pack
 * of its own. Asserts with cmocka unless said otherwise. Threads: one at a time.
 */
#include "base/config.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;

struct archive_fixture {
	char directory[64]; /* the archive's folder, in the temporary one */
	char parent[48];    /* the temporary one */
	struct config config;
	struct error err; /* of the last call that may fail */
};

/* A temporary folder and a configuration of small volumes; no archive yet. */
void archive_fixture_init(struct archive_fixture *f);
void archive_fixture_done(struct archive_fixture *f);

/* archive_init(). May fail. */
int archive_fixture_create(struct archive_fixture *f);
/* May fail. */
int archive_fixture_open(struct archive_fixture *f, bool writable,
			 struct archive **archive_out);

/* setup and teardown of cmocka: an allocated fixture, initialised. */
int archive_fixture_setup(void **state);
int archive_fixture_teardown(void **state);

struct fixture_commit {
	uint32_t first; /* files [first, first + count) are put */
	uint32_t count;
	uint32_t remove_count; /* and this many behind them removed */
	uint32_t size;         /* bytes of each; 0: the files are empty */
	uint32_t seed;
};

/* Commit. May fail, with everything closed. */
int archive_fixture_commit(struct archive_fixture *f,
			   const struct fixture_commit *commit);

/* As above; these must succeed. */
void archive_fixture_must_create(struct archive_fixture *f);
struct archive *archive_fixture_must_open(struct archive_fixture *f, bool writable);
void archive_fixture_must_commit(struct archive_fixture *f,
				 const struct fixture_commit *commit);

/* Append what @commit says, but stop before the commit record, like a killed writer. */
void archive_fixture_interrupt(struct archive_fixture *f,
			       const struct fixture_commit *commit);

/* Run @run in a process that dies at the @n-th pass of crash point @name. True if it did,
 * false if it got through. Only in builds with test hooks. */
bool archive_fixture_killed(struct archive_fixture *f, const char *name, int n,
			    int (*run)(struct archive_fixture *f, void *context),
			    void *context);
bool archive_fixture_commit_killed(struct archive_fixture *f,
				   const struct fixture_commit *commit, const char *name,
				   int n);

/* Read file @i from an open archive: its name from the catalog, its content from the
 * volumes. 0, -ENOENT if there is no such name, or what reading gave; content that is not
 * that of @seed is -EBADMSG. */
int archive_fixture_read(struct archive *archive, uint32_t i, uint32_t size,
			 uint32_t seed);

/* The catalog's canonical dump; the caller frees it. */
char *archive_fixture_dump(struct archive_fixture *f);

/* The names in the volume folder that end in .bfv, in order; returns how many. */
#define FIXTURE_VOLUMES_MAX 32
unsigned archive_fixture_volumes(struct archive_fixture *f,
				 char names_out[FIXTURE_VOLUMES_MAX][64]);

/* A path in the archive's folder, and that of the volume file that is number @number (from
 * 0) of these names; valid until the next call but one. */
const char *archive_fixture_path(struct archive_fixture *f, const char *name);
const char *archive_fixture_volume(struct archive_fixture *f, unsigned number);

/* Copy a file. */
void archive_fixture_copy(const char *from, const char *to);
