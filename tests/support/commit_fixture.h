/* SPDX-License-Identifier: MIT */
#pragma once
/* A source folder beside a small archive, for tests of committing. Paths of the source are
 * relative to its folder `src`, those of the archive are in it. Asserts with cmocka unless
 * said otherwise. Threads: one at a time.
 */
#include "archive/commit.h"
#include "merkle/manifest.h"
#include "support/archive_fixture.h"

struct archive;

#define FIXTURE_PROBLEMS_MAX 64

struct commit_fixture {
	struct archive_fixture base;
	struct archive *archive;       /* open for writing */
	char source[64];               /* path of the source folder */
	int fd;                        /* of the source folder */
	struct commit_options options; /* for the next commit; sources are set by it */
	struct commit_summary summary; /* of the last one */
	struct error err;              /* likewise */
	struct {
		enum commit_problem problem;
		char path[256];           /* cut */
	} problems[FIXTURE_PROBLEMS_MAX]; /* of the last one */
	unsigned problem_count;
	void (*on_progress)(struct commit_fixture *f); /* NULL: nothing */
};

void commit_fixture_init(struct commit_fixture *f);
void commit_fixture_done(struct commit_fixture *f);

/* Close the archive and open it again. */
void commit_fixture_reopen(struct commit_fixture *f);

/* Commit `src` as `src`: 0, or the error. */
int commit_fixture_run(struct commit_fixture *f);
/* The same, and it must have made a commit without problems. */
void commit_fixture_commit(struct commit_fixture *f);

/* Make things in the source folder. */
void source_file(struct commit_fixture *f, const char *name, const void *data,
		 size_t size);
void source_text(struct commit_fixture *f, const char *name, const char *text);
void source_folder(struct commit_fixture *f, const char *name);
/* @size bytes that follow from @seed and don't compress. */
void source_noise(struct commit_fixture *f, const char *name, size_t size, uint32_t seed);
void fill_noise(void *data, size_t size, uint32_t seed);

/* The current manifest of @path; manifest_done(). False if there is none. */
bool commit_fixture_find(struct commit_fixture *f, const char *path,
			 struct manifest *manifest_out);
/* The version number of @path, 0 if it is not there now. */
uint32_t commit_fixture_version(struct commit_fixture *f, const char *path);

/* @path is a file with this content, read back from the volumes, and its manifest has the
 * BLAKE3 of it. */
void assert_content(struct commit_fixture *f, const char *path, const void *data,
		    size_t size);
/* Likewise, with the content of source file @name. */
void assert_as_source(struct commit_fixture *f, const char *path, const char *name);

/* The last commit told of @problem with a path that ends with @end. */
bool has_problem(const struct commit_fixture *f, enum commit_problem problem,
		 const char *end);
