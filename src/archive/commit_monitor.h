/* SPDX-License-Identifier: MIT */
#pragma once
/* What a running commit tells its caller, and asks: problems with single inputs, progress,
 * and whether to stop. The callbacks come from the thread that runs the commit.
 */
#include <stdatomic.h>
#include <stdint.h>

struct error;

/* Why an input is not in the commit as it is in the source. Its earlier version, if there is
 * one, stays current, except after COMMIT_BIT_ROT. */
enum commit_problem {
	COMMIT_UNREADABLE, /* could not be opened or read */
	COMMIT_CHANGED,    /* changed while it was read, each time it was tried */
	COMMIT_VANISHED,   /* was listed, but is not there */
	COMMIT_BIT_ROT, /* other content with the old size and mtime: kept as a new version */
	COMMIT_SKIPPED, /* cannot be described: path too long, too many attributes, ... */
	COMMIT_NO_COPY, /* no input, but a place that got no copy of the commit */
};

struct commit_progress {
	uint64_t files;      /* dealt with, unchanged ones included */
	uint64_t bytes;      /* of these */
	uint64_t file_total; /* 0: not known */
	uint64_t byte_total;
};

struct commit_callbacks {
	/* Either may be NULL. @path is that of the source. */
	void (*problem)(void *context, enum commit_problem problem, const char *path,
			const struct error *err);
	/* After every small number of files and every few MiB. */
	void (*progress)(void *context, const struct commit_progress *progress);
	void *context;
	const atomic_bool *cancel; /* NULL, or: stop with -EINTR once it is true */
};

struct commit_monitor {
	struct commit_callbacks callbacks;
	struct commit_progress progress;
	uint64_t problems;
};

/* "unreadable", ... */
const char *commit_problem_name(enum commit_problem problem);

/* Tell of a problem and count it. */
void monitor_problem(struct commit_monitor *monitor, enum commit_problem problem,
		     const char *path, const struct error *err);

/* So much more was done. */
void monitor_advance(struct commit_monitor *monitor, uint64_t files, uint64_t bytes);

/* 0, or -EINTR when the caller wants it to stop. */
int monitor_check(const struct commit_monitor *monitor, struct error *err);
