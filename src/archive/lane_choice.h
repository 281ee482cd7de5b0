/* SPDX-License-Identifier: MIT */
#pragma once
/* Which volume is written to: the one with the highest number in its place, if it is open;
 * else a new one there. With one copy that is one volume, with more it is one in each of as
 * many places. One thread at a time.
 */
#include "catalog/placement.h"

#include <stddef.h>

struct archive;
struct error;

struct lane_choice {
	size_t place; /* in the archive's places; their count: the file lies elsewhere */
	const char *label; /* of a new volume; borrowed; NULL: after the first one */
	int code; /* why the place can't be used; 0: it can, as far as is known */
	struct volume_row row; /* owned; the last volume there, its file being where it is
				* now; number 0: there is none */
};

struct lane_choices {
	struct lane_choice *items; /* owned; in the order in which to try them */
	size_t count;
};

/* Look at all places. For one copy the first item is the one, or -ENOMEDIUM if the volume
 * that is being filled is not attached. */
int lane_choices_make(struct archive *archive, struct lane_choices *choices_out,
		      struct error *err);
void lane_choices_done(struct lane_choices *choices);
#define autolane_choices __attribute__((__cleanup__(lane_choices_done)))

/* Number and label of the next volume; the caller frees the label. */
int lane_choice_next_name(struct catalog *catalog, uint64_t *number_out, char **label_out,
			  struct error *err);
