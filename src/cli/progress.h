/* SPDX-License-Identifier: MIT */
#pragma once
/* One line on a terminal that tells how far a long command is: files, bytes, rate and, when
 * the total is known, how much is left. It is redrawn at most ten times a second, and never
 * shown in a pipe, with --quiet or with --json. Problems that are reported meanwhile take
 * their own lines.
 *
 * Internally locked: any thread.
 */
#include "base/mutex.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct invocation;

struct progress {
	struct mutex mutex; /* guards what follows, and the terminal's line */
	bool enabled;
	bool bytes_only;  /* there are no files to count; set after progress_init() */
	bool drawn;       /* the line shows something */
	const char *verb; /* "committed", borrowed */
	uint64_t start;   /* clock_monotonic_ns() */
	uint64_t last;    /* of the last redraw */
	uint64_t files, bytes;
	uint64_t file_total, byte_total; /* 0: not known */
};

void progress_init(struct progress *progress, const struct invocation *invocation,
		   const char *verb);
/* Take the line away. */
void progress_done(struct progress *progress);

/* So much is done; so much more is. Totals may be 0. */
void progress_set(struct progress *progress, uint64_t files, uint64_t bytes,
		  uint64_t file_total, uint64_t byte_total);
void progress_add(struct progress *progress, uint64_t files, uint64_t bytes);

/* Print a problem as one line on stderr, like log_error(). */
void progress_problem(struct progress *progress, const char *fmt, ...)
	__attribute__((__format__(__printf__, 2, 3)));

/* Print one line to stdout (a newline is added). */
void progress_print(struct progress *progress, const char *text);

/* Nanoseconds since progress_init(). */
uint64_t progress_elapsed(const struct progress *progress);
