/* SPDX-License-Identifier: MIT */
#pragma once
/* Appends to one volume's log: atoms go in, stripes with parity come out, records say what
 * is durable. A writer session never rewrites anything; what it leaves behind without a
 * record is a tail.
 *
 * One thread at a time calls this interface. Inside, leaves are hashed and encoded on the
 * pool and extents are written by a thread of the writer's own; their errors come back
 * from a later call, and then the session is broken: every further call fails alike.
 */
#include "base/cleanup.h"
#include "volume/atom.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct budget;
struct error;
struct log_writer;
struct pool;

#define LOG_FULL 1 /* the volume can take no more: seal it and go on in the next */

/* Where a volume's log goes on: what chain_find_last() found, or zeroes with the two ids
 * and previous_offset = RECORD_OFFSET_NONE for an empty volume. */
struct log_end {
	struct uuid volume;
	struct hash archive_id;
	uint64_t sequence;        /* of the next record */
	uint64_t previous_offset; /* stripe offset of the last record */
	struct hash previous_hash;
	uint64_t covered;       /* log offset up to which records list everything */
	uint64_t log_offset;    /* of the next payload byte */
	uint64_t stripe_number; /* of the next stripe */
	struct stripe_info
		own; /* the last record's own stripe, listed by the next record;
				 * .extents NULL in an empty volume; owned */
};

struct log_writer_options {
	bool tiered;     /* commits below 10 MB as RS(1, parity) */
	unsigned data;   /* k */
	unsigned parity; /* m */
	uint64_t spread; /* bytes, multiple of 4096 */
	uint64_t
		max_size; /* bytes that the volume may occupy, holes between extents apart */
	uint64_t used_size; /* bytes of it that are occupied: stripe_written_size() of all
			     * its stripes, or backend_position() where that is unknown */
	struct budget *budget; /* borrowed: extents shrink until their buffers fit */
	unsigned sharing;      /* writers that are to share it, this one included; 0: 1 */
	struct pool *pool;     /* borrowed */

	/* Called (from the calling thread) after each record is durable; may be NULL. A
	 * failure breaks the session. @own is the record's own stripe. */
	int (*on_record)(void *context, const struct record *record,
			 const struct stripe_info *own, struct error *err);
	void *context;
};

/* Begin a session at @end (deep-copied) on @backend (borrowed, open for writing) with a new
 * random epoch. */
int log_writer_new(struct backend *backend, const struct log_end *end,
		   const struct log_writer_options *options,
		   struct log_writer **writer_out, struct error *err);

/* options->max_size if a new volume of that size surely takes @size bytes of atoms, with the
 * memory that is available now or half of it; else the least that does, in whole MiB.
 * UINT64_MAX if the options are impossible. */
uint64_t log_least_max_size(const struct log_writer_options *options, uint64_t size);

/* Append one atom (8 to ATOM_SIZE_MAX bytes; a whole zstd or skippable frame). Returns 0
 * and its log offset, or LOG_FULL (nothing was taken), or an error. Copies @atom. */
int log_append(struct log_writer *writer, const struct atom *atom,
	       uint64_t *log_offset_out, struct error *err);

/* Bytes that log_append() surely still takes before LOG_FULL: so that a caller can keep a
 * segment whole within one volume. */
uint64_t log_room(const struct log_writer *writer);

/* Say what was appended, to be listed in the first record written after the end of it is
 * closed. Foreign segments go into the next record. Copies. */
int log_place_segment(struct log_writer *writer, const struct segment_place *segment,
		      struct error *err);
int log_place_page(struct log_writer *writer, const struct page_place *page,
		   struct error *err);
int log_place_foreign(struct log_writer *writer, const struct segment_place *segment,
		      struct error *err);

/* A parity shard of a group, whose runs were appended: taken over on success. The caller
 * leaves room for its entry in the records. */
int log_place_group(struct log_writer *writer, struct group *group, struct error *err);

/* Close the open data stripe, make it durable, then write a record of @kind and make that
 * durable. @head and @info may be NULL. On return 0 the record exists for good. Lists that
 * would exceed RECORD_SIZE_MAX are split over further placement records. */
int log_write_record(struct log_writer *writer, enum stripe_kind kind, bool checkpoint,
		     const char *head, const char *info, struct error *err);

/* In two halves, for several logs at a time: the first queues what the second waits for. */
int log_begin_record(struct log_writer *writer, enum stripe_kind kind, bool checkpoint,
		     const char *head, const char *info, struct error *err);
int log_end_record(struct log_writer *writer, struct error *err);

/* Close the open data stripe and make it durable, without a record; in two halves, too. */
int log_begin_flush(struct log_writer *writer, struct error *err);
int log_end_flush(struct log_writer *writer, struct error *err);

/* Where the log stands after the last record; valid until the next call. */
const struct log_end *log_writer_end(const struct log_writer *writer);

/* Bytes written so far in this session: payload of data stripes, and everything (parity,
 * pages, records; without holes). */
void log_writer_totals(const struct log_writer *writer, uint64_t *payload_out,
		       uint64_t *written_out);

/* Stop, drop what no record lists (it stays behind as a tail), free. NULL is a no-op. */
void log_writer_free(struct log_writer *writer);
DEFINE_AUTOPTR(log_writer);

/* Release what @end owns. */
void log_end_done(struct log_end *end);
