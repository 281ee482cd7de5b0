/* SPDX-License-Identifier: MIT */
#pragma once
/* One stripe under scrub: what is known of its extents, and the steps that find that out. For
 * the files scrub*.c of this folder only.
 *
 * Threads: the scrub's own thread, but for what tasks of the pool do: each writes the states
 * of its own leaves, reads tables, and tells findings (locked).
 */
#include "base/budget.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "volume/scrub.h"
#include "volume/stripe_view.h"

struct damage;
struct extent_table;
struct parity;
struct row_sums;

enum leaf_state {
	LEAF_SOUND = 0,
	LEAF_BAD,      /* differs from its entry */
	LEAF_UNKNOWN,  /* there is no table to judge it by */
	LEAF_REPAIRED, /* on the medium */
	LEAF_LOST,     /* beyond repair */
};

/* What all stripes of a scrub share. */
struct scrub {
	const struct scrub_options *options;
	struct scrub_report *report;
	struct stripe_info
		landmark; /* owned: the last record's stripe; extents may be NULL */
	struct buffer
		*buffers;   /* BACKEND_SCAN_MAX for each worker, and one for the owner */
	struct mutex mutex; /* one finding is told at a time; guards the results */
	struct mutex mending; /* one session of repair at a time */
	struct mutex pacing;  /* guards what follows */
	uint64_t begun;       /* clock_monotonic_ns() */
	uint64_t read;        /* bytes so far, for the rate */
};

struct scrub_extent {
	struct extent_table *table; /* owned; NULL if reading its pages failed */
	bool known;                 /* its pages have been looked at; atomic */
	struct leaf_entry *medium;  /* owned: what the leaves were found to be, by entry;
				     * NULL if the table was verified by its pages */
	uint16_t bad_pages; /* bit per page that is not what it must be on the medium */
	uint8_t *leaves;    /* enum leaf_state, by entry of the table */
	bool waits; /* parity that can be known only when the data is on the medium again */
};

struct scrub_stripe {
	struct scrub *scrub;
	struct stripe_view view;
	uint64_t previous_offset; /* of the last record before this stripe */
	struct hash previous_hash;
	uint64_t size;  /* bytes of the volume when the stripe was begun */
	unsigned count; /* of extents */
	struct scrub_extent *extents;
	struct parity *code;
	struct row_sums *sums;
	struct table_cache *tables;
	bool second_round;   /* it is the turn of the extents that wait */
	struct mutex mutex;  /* of those who wait for extents[].known */
	struct cond changed; /* one of them became true */
	struct task_group group;
	struct scrub_stripe_result result;
};

/* Scrub the stripe @info, which a record lists, or is a record's own. The header pages of its
 * extents name the record at @previous_offset. */
int scrub_stripe(struct scrub *scrub, const struct stripe_info *info,
		 uint64_t previous_offset, const struct hash *previous_hash,
		 struct error *err);

/* ---- for the steps ---- */

bool scrub_stopped(const struct scrub *scrub);
int scrub_interrupted(struct error *err); /* -EINTR */
/* Whether this round of repairs is to look at @extent. */
bool scrub_is_due(const struct scrub_stripe *stripe, unsigned extent);
/* Note that @size bytes are about to be read, waiting as the rate says. */
void scrub_pace(struct scrub *scrub, uint64_t size);

/* The stripe's view for a task: with a tally of its own. */
struct stripe_view scrub_task_view(const struct scrub_stripe *stripe);

/* Tell a finding, unless it lies behind the volume's end. */
void scrub_tell(struct scrub_stripe *stripe, const struct scrub_finding *finding);
/* A finding about page or leaf @index of @extent, but for its outcome. */
struct scrub_finding scrub_page_finding(const struct scrub_stripe *stripe,
					unsigned extent, unsigned page);
struct scrub_finding scrub_leaf_finding(const struct scrub_stripe *stripe,
					unsigned extent, unsigned entry);

/* Where the scrub repairs, mend @count places, each of which gets its result; else their
 * results stay. Then tell @findings, one for each. */
void scrub_settle(struct scrub_stripe *stripe, struct damage *damages,
		  struct scrub_finding *findings, size_t count);
