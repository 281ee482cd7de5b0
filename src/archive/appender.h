/* SPDX-License-Identifier: MIT */
#pragma once
/* Appends to an archive's volumes as if they were one: opens the volume that is being
 * filled, rolls over to a new one (with its header and checkpoint) when it is full, and
 * feeds every durable record to the catalog. One thread at a time; one at a time for an
 * archive that is open for writing.
 *
 * The caller has an open catalog transaction from appender_open() to the end.
 */
#include "base/cleanup.h"
#include "volume/atom.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct appender;
struct archive;
struct error;

struct appender_options {
	bool tiered;
	unsigned data;   /* k */
	unsigned parity; /* m */
};

struct appender_totals {
	uint64_t payload_size; /* bytes of log payload of data stripes */
	uint64_t written_size; /* bytes in all, holes apart */
	uint64_t volumes_filled;
};

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
		    uint64_t *log_offset_out, struct error *err);

/* What was appended since appender_begin(). place->volume is filled in here. */
int appender_place_segment(struct appender *appender, struct segment_place *place,
			   struct error *err);
int appender_place_page(struct appender *appender, const struct page_place *place,
			struct error *err);

/* Write the commit record with @head and make everything durable (P2). The catalog
 * transaction stays open; the caller adds the commit's rows and commits it. */
int appender_commit(struct appender *appender, const char *head, struct error *err);

void appender_totals(const struct appender *appender, struct appender_totals *totals_out);

/* Without appender_commit() before: what no record lists stays behind as a tail. */
void appender_free(struct appender *appender);
DEFINE_AUTOPTR(appender);
