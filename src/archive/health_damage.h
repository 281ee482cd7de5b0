/* SPDX-License-Identifier: MIT */
#pragma once
/* The damage that a run of health has found: places that touch and have the same fate are one
 * range, so that a lost extent is a line and not a thousand. One thread at a time.
 */
#include "volume/scrub.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;

#define DAMAGE_RANGES_MAX 131072u /* what comes after is counted only */

struct damage_range {
	unsigned volume; /* in the report's list */
	enum scrub_kind kind;
	enum scrub_outcome outcome;
	uint64_t offset, size; /* bytes, in the volume */
	uint64_t places;       /* leaves, pages, ... */
	uint64_t stripe;       /* number */
	unsigned extent;
	uint64_t log_offset, log_size; /* payload in it; log_size 0: none */
	unsigned margin; /* extents that its stripe can still lose anywhere */
	int code;        /* NOT_WRITTEN: why */
};

struct damage_list {
	struct budget *budget; /* borrowed; set by the owner */
	struct damage_range *items;
	size_t count, capacity;
	size_t open;      /* the first one that may still grow */
	uint64_t dropped; /* places that found no room */
};

void damage_list_add(struct damage_list *list, unsigned volume,
		     const struct scrub_finding *finding);

/* The stripe of the last findings is done, and has @margin left. Its ranges are put in order
 * of the volume; they are those from *first_out on. */
void damage_list_end_stripe(struct damage_list *list, unsigned margin, size_t *first_out);

void damage_list_done(struct damage_list *list);

/* "leaf", "parity leaf", ... and "repaired", "lost", ... */
const char *damage_kind_name(enum scrub_kind kind);
const char *damage_outcome_name(enum scrub_outcome outcome);
