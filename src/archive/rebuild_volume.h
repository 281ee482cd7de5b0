/* SPDX-License-Identifier: MIT */
#pragma once
/* The part of a rebuild that reads one volume. One thread at a time. */
#include "archive/rebuild.h"
#include "archive/replay.h"
#include "merkle/hash.h"

#include <stdint.h>

struct budget;
struct catalog;
struct error;
struct places;
struct volume_file;

struct rebuild {
	const struct places *places;
	struct budget *budget; /* borrowed */
	struct hash archive_id;
	struct catalog *catalog; /* the new one, in a transaction */
	struct replay replay;
	struct rebuild_report report;
	rebuild_problem_fn *problem;
	void *context;
};

/* Tell a problem. */
void rebuild_tell(struct rebuild *rebuild, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

/* Take in every record of @file that can be read. What can't be read is a problem; only
 * the catalog's failures, and a lack of memory, are errors. */
int rebuild_volume(struct rebuild *rebuild, const struct volume_file *file,
		   struct error *err);
