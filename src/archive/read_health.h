/* SPDX-License-Identifier: MIT */
#pragma once
/* What a mount or a server has met while it read: counts of what was verified, repaired,
 * written back and lost, and a line in the log for each piece of damage. Internally locked:
 * any thread.
 */
#include "base/cleanup.h"
#include "volume/write_back.h"

#include <stddef.h>
#include <stdint.h>

struct backing;
struct error;
struct read_health;
struct text;

/* Leaves and table pages since the start, except where it says otherwise. */
struct read_health_counts {
	uint64_t written_back;
	uint64_t blocks_written; /* of 4 KiB */
	uint64_t not_written_back;
	uint64_t lost;
	uint64_t files_damaged;
};

int read_health_new(struct read_health **health_out, struct error *err);
void read_health_free(struct read_health *health);
DEFINE_AUTOPTR(read_health);

/* To be told of everything by the volumes. Borrowed by the archive that is opened with it. */
struct repair_observer read_health_observer(struct read_health *health);

/* What was met in the file with this path: "ok", "repaired" or "lost". Constant. */
const char *read_health_of(struct read_health *health, const char *path);

void read_health_counts(struct read_health *health,
			struct read_health_counts *counts_out);

/* Append what was met as lines "name: value": that @commit is shown, what was read, what became
 * of damage, and the files it was met in. -ENOMEM. */
int read_health_text(struct read_health *health, struct backing *backing, uint64_t commit,
		     struct text *text);
