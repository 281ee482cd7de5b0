/* SPDX-License-Identifier: MIT */
#pragma once
/* Appends to an archive's volumes as if they were one: opens the volumes that are being
 * filled, one for each copy, rolls over to new ones (with header and checkpoint) when they
 * are full, and feeds every durable record to the catalog. One thread at a time; one at a time for an
 * archive that is open for writing.
 *
 * The caller has an open catalog transaction from appender_open() to the end.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "volume/atom.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct appender;
struct archive;
struct lane;

struct appender_options {
	bool tiered;
	unsigned data;   /* k */
	unsigned parity; /* m */
	unsigned least;  /* copies that will do; 0: [volume] min_copies */
};

struct appender_totals {
	uint64_t payload_size; /* bytes of log payload of data stripes */
	uint64_t written_size; /* bytes in all, on all volumes, holes apart */
	uint64_t volumes_filled;
	uint64_t copies; /* that were written, in as many places */
};

/* Why there is no copy in a place that was tried. */
struct lane_problem {
	const char *place; /* its path; borrowed from the archive */
	struct error why;
};

/* -EINVAL: there are fewer places than copies; -ENOMEDIUM: fewer are there, or can be written
 * to, than a commit takes. */

int appender_open(struct archive *archive, const struct appender_options *options,
		  struct appender **appender_out, struct error *err);

/* For who has nothing to append: complete what the last writer was killed at (as
 * appender_open() does), and no more. Needs no transaction. */
int appender_finish_last(struct archive *archive, const struct appender_options *options,
			 struct error *err);

/* Make sure that @size bytes of atoms that follow go into one volume, rolling over if they
 * would not. Call before each segment with an upper bound of its stored size. */
int appender_begin(struct appender *appender, uint64_t size, struct error *err);

/* Append one atom within what appender_begin() promised. */
int appender_append(struct appender *appender, const struct atom *atom,
		    struct error *err);

/* What was appended since appender_begin(). Volume and log offset are filled in here: they
 * differ from copy to copy. */
int appender_place_segment(struct appender *appender, const struct segment_place *place,
			   struct error *err);
int appender_place_page(struct appender *appender, const struct page_place *place,
			struct error *err);

/* Write the commit record with @head and make everything durable (P2) on all volumes, or at
 * least on one: look at appender_totals(). The catalog
 * transaction stays open; the caller adds the commit's rows and commits it. */
int appender_commit(struct appender *appender, const char *head, struct error *err);

void appender_totals(const struct appender *appender, struct appender_totals *totals_out);

/* The lanes one by one: for who writes to some of them (lane->skipped), until it is reset. A
 * lane whose `active` is NULL was given up. */
size_t appender_lane_count(const struct appender *appender);
struct lane *appender_lane(struct appender *appender, size_t i);

/* Make everything durable that was appended, and list it, in a record with @info (or NULL). */
int appender_list(struct appender *appender, const char *info, struct error *err);

/* Problems with copies, if there are fewer than there should be. */
size_t appender_problem_count(const struct appender *appender);
const struct lane_problem *appender_problem(const struct appender *appender, size_t i);

/* Without appender_commit() before: what no record lists stays behind as a tail. */
void appender_free(struct appender *appender);
DEFINE_AUTOPTR(appender);
