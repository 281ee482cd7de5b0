/* SPDX-License-Identifier: MIT */
#pragma once
/* Which of an archive's volumes is written to next. Without an outer code that is the last
 * one. With one there are k data volumes in use at the same time, and what holds least comes
 * first, so that a group finds members of like size; parity volumes are chosen likewise, as
 * many as there are parity shards. One thread at a time.
 */
#include "catalog/placement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;
struct error;
struct uuid;
struct volume_set;

struct volume_choice {
	struct volume_row
		row; /* owned; the volume to go on with; or, if there is none, the
				* last one of its role (zero: there was none) */
	bool found;  /* row is open; else a new one is to be begun */
	uint64_t next_number; /* for a new one */
	size_t place;         /* for a new one: where the fewest open volumes are */
	char *first_label;    /* of the set's first volume; owned */
};

/* Choose among the volumes of @role, of which @wanted shall be open at a time; none of the
 * @taken_count volumes at @taken. */
int volume_choice_make(struct catalog *catalog, struct volume_set *volumes,
		       enum volume_role role, unsigned wanted, const struct uuid *taken,
		       size_t taken_count, struct volume_choice *choice_out,
		       struct error *err);
void volume_choice_done(struct volume_choice *choice);
#define autovolume_choice __attribute__((__cleanup__(volume_choice_done)))
