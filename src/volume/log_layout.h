/* SPDX-License-Identifier: MIT */
#pragma once
/* Where everything of a session comes to lie, decided ahead of the medium: positions, numbers
 * and log offsets of stripes, and what each record will list.
 *
 * Threads: one at a time.
 */
#include "volume/log_writer.h"
#include "volume/pending.h"

struct record_writer;

struct log_layout {
	struct uuid volume, epoch;
	struct hash archive_id;
	unsigned record_parity; /* m of record stripes */
	uint64_t spread;        /* bytes */

	uint64_t position;      /* bytes: where the next stripe starts */
	uint64_t log_offset;    /* of the next payload byte */
	uint64_t stripe_number; /* of the next stripe */
	uint64_t sequence;      /* of the next record */
	uint64_t written;       /* bytes of all stripes of this session that are closed */
	struct stripe_info own; /* of the last record, without extents: its size counts */
	bool has_own;
	struct pending pending;
};

/* What a record says besides its lists. */
struct record_text {
	enum stripe_kind kind;
	bool checkpoint;
	const char *head; /* may be NULL, as info */
	const char *info;
};

/* Begin at @end and byte @position of the volume, with a new epoch. */
int log_layout_init(struct log_layout *layout, const struct log_end *end,
		    uint64_t position, struct error *err);
void log_layout_done(struct log_layout *layout);

/* The next data stripe; its payload begins @staged bytes before log_offset. */
void log_layout_next(const struct log_layout *layout, unsigned data, unsigned parity,
		     unsigned frames, uint64_t staged, struct stripe_info *info_out);

/* Go on behind a closed data stripe, which the next record lists. Takes over its extents on
 * success; their sizes must be set. -ENOMEM. */
int log_layout_close(struct log_layout *layout, struct stripe_info *stripe);

/* Lay out a record that lists the stripes and up to RECORD_LISTS_MAX bytes of the places that
 * are pending, queue it, and go on behind it. -ENOMEM, -E2BIG, after the queue is empty:
 * what the record took from the lists is lost, and the session with it. */
int log_layout_record(struct log_layout *layout, const struct record_text *text,
		      bool sync, struct record_writer *writer, struct error *err);
