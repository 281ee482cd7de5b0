/* SPDX-License-Identifier: MIT */
#pragma once
/* Goes through the folder of a tier and finds what its policy would make stubs, by names and
 * attributes alone: opens no file. Other file systems that are mounted in it are left out.
 *
 * Threads: one at a time.
 */
#include "tier/policy.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct candidate_table;
struct config_tier;
struct error;

struct tally {
	uint64_t count;
	uint64_t size;  /* bytes of content */
	uint64_t space; /* bytes that they occupy */
};

struct scan_counts {
	struct tally seen;     /* regular files */
	struct tally eligible; /* that the policy would take */
	struct tally skipped[POLICY_SKIPS];
};

struct scan {
	const char *folder; /* absolute; borrowed, like all here */
	const struct config_tier *policy;
	struct candidate_table *table; /* gets what is eligible */
	const atomic_bool *cancel;     /* NULL, or: stop with -EINTR */
	struct scan_counts *counts;
};

/* A folder that can't be read is told and counted as failed; negative if it could not go on.
 * -EINTR. */
int scan_run(const struct scan *scan, struct error *err);

void tally_add(struct tally *tally, uint64_t size, uint64_t space);
