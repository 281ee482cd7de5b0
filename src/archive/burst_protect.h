/* SPDX-License-Identifier: MIT */
#pragma once
/* The part of protection that stays within a volume: its data is read once more, in columns,
 * and parity is appended behind it, so that it survives a burst (archive/burst_cover.h). May be
 * killed at any point. One thread at a time.
 */
#include <stdint.h>

struct archive;
struct catalog;
struct config;
struct error;
struct protect;

/* Of all data volumes that are in use. */
struct burst_totals {
	uint64_t covered;   /* bytes of logs that survive a burst of [parity] burst */
	uint64_t uncovered; /* that do not */
	uint64_t due;       /* of these, what burst_protect() would cover now */
	uint64_t parity;    /* bytes that it would write for that, about */
	uint64_t sealed; /* of the uncovered: on volumes that take no parity any more */
};

int burst_totals_get(struct catalog *catalog, const struct config *config,
		     struct burst_totals *totals_out, struct error *err);

/* Protect what is due on all attached volumes that can be written to. Errors as
 * protect_run()'s, which calls this. */
int burst_protect(struct protect *protect, struct error *err);
