/* SPDX-License-Identifier: MIT */
#pragma once
/* One pass of a tier's policy: finds the files that it would make stubs, chooses as many of them
 * as are wanted, commits those that the archive does not have, all at once, and has the daemon
 * make stubs of them. It is a process of its own (`tier scan`), not the daemon: that one's
 * opening of files is not asked about, so that it could take the holes of a stub for content;
 * and what a commit needs of memory and time is nothing of the recalls'.
 *
 * Threads: one at a time.
 */
#include "tier/policy.h"
#include "tier/scan.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct candidate;
struct error;
struct tier_entry;

struct pass_options {
	const char *state; /* folder; borrowed, like all here */
	int state_fd;
	const struct tier_entry *tier;
	bool dry_run;              /* only say what it would do */
	int daemon;                /* tier/control.h; none for a dry run */
	const atomic_bool *cancel; /* NULL, or: stop with -EINTR */
	/* A file was chosen; @known: the archive has it already. May be NULL. */
	void (*chosen)(void *context, const char *path, const struct candidate *candidate,
		       bool known);
	void *context;
};

struct pass_result {
	int64_t time;      /* when it began: nanoseconds since 1970 */
	uint64_t duration; /* nanoseconds */
	bool dry_run;
	bool complete;             /* it got to its end */
	bool noatime;              /* the file system does not keep access times */
	struct policy_usage usage; /* at the beginning */
	uint64_t wanted;           /* bytes to free, or POLICY_ALL */
	struct scan_counts counts;
	struct tally chosen;
	struct tally committed; /* of these: the archive did not have them */
	struct tally stubs;     /* that were made */
};

/* What could not be done to single files is told by messages and counted; the result is filled
 * as far as it got. -EINTR; -EBUSY: another pass, or another writer of the archive, is at
 * work; -EPIPE: the daemon has ended; ... */
int pass_run(const struct pass_options *options, struct pass_result *result_out,
	     struct error *err);
