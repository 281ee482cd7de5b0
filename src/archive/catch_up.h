/* SPDX-License-Identifier: MIT */
#pragma once
/* Brings the catalog up to date with the volumes: with records that a killed writer could
 * not report, volumes that it began, files that were renamed or attached since. One thread
 * at a time.
 */
#include "base/error.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct budget;
struct catalog;
struct places;

struct catch_up {
	const struct places *places;
	struct hash archive_id;
	struct catalog *catalog; /* not in a transaction */
	struct budget *budget;
	bool copies; /* [volume] copies > 1: a commit that was killed when one volume had
		      * its record, and made again without that volume, is left out */

	/* Results of catch_up_run(). */
	uint64_t records; /* taken in */
	uint64_t commits; /* new ones */
	uint64_t
		old_commits; /* older than the last known one: only a rebuild can add them */
	struct error left_out; /* says which commit was, if any */
};

/* Whether there is anything to do; reads only. Cheap when there is not: one listing of
 * the places. -ESTALE: a volume is older than the catalog knows, or has another history. */
int catch_up_needed(const struct catch_up *catch_up, bool *needed_out, struct error *err);

/* Do it, in one transaction. The caller holds the writer's lock. */
int catch_up_run(struct catch_up *catch_up, struct error *err);
