/* SPDX-License-Identifier: MIT */
#pragma once
/* The sources of a commit, made ready: absolute paths, keys in the archive, in order, and
 * checked against what the archive has there.
 *
 * Threads: one at a time, as the catalog.
 */
#include "archive/walk_level.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>

struct catalog;
struct commit_options;
struct commit_source;
struct error;

struct ready_source {
	char *path;       /* owned: absolute; NULL: a stream */
	int fd;           /* of a stream; borrowed */
	struct bytes key; /* owned */
	struct source_root root;
	bool forced;   /* it replaces something from another source */
	size_t shared; /* bytes of key: parents that it shares with the source before it */
};

struct ready_sources {
	struct ready_source *items; /* owned; in order of keys */
	size_t count;
};

/* Nothing is opened yet. Errors as commit_run(). */
int ready_sources_make(const struct commit_options *options, struct catalog *catalog,
		       struct ready_sources *sources_out, struct error *err);
void ready_sources_done(struct ready_sources *sources);

/* One of many that come in the order of their keys; @before is the one before, or { 0 }. Errors
 * as commit_run(). */
int ready_source_make(const struct commit_options *options, struct catalog *catalog,
		      const struct commit_source *given,
		      const struct ready_source *before, struct ready_source *source_out,
		      struct error *err);
void ready_source_done(struct ready_source *source);

/* Open the folder that the source is in; its name there goes to *name_out (borrowed). */
int ready_source_open(const struct ready_source *source, struct folder **folder_out,
		      const char **name_out, struct error *err);
