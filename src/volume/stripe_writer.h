/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes data stripes: the caller fills one extent while the pool hashes and encodes it and
 * the write queue appends the one before.
 *
 * Threads: one at a time; the jobs run on the write queue.
 */
#include "volume/atom.h"
#include "volume/stripe_build.h"
#include "volume/write_queue.h"

#include <stdbool.h>

struct stripe_writer;

/* Borrowed by the stripe writer. */
struct stripe_writer_setup {
	struct backend *backend;
	struct pool *pool;
	struct budget *budget; /* of stripe_writer_memory() at least */
	struct write_queue *queue;
	const struct log_end *end; /* where records end; read by the jobs only */
	struct uuid volume;
	unsigned parity; /* m of all its stripes */
};

int stripe_writer_new(const struct stripe_writer_setup *setup,
		      struct stripe_writer **writer_out, struct error *err);

/* Wait for the tasks and jobs, free. NULL is a no-op. */
void stripe_writer_free(struct stripe_writer *writer);
DEFINE_AUTOPTR(stripe_writer);

/* Bytes that the buffers for stripes of @frames and @parity take. */
uint64_t stripe_writer_memory(unsigned frames, unsigned parity);

/* Begin a stripe as @info says (without extents and data count), while none is open. Larger
 * extents than before make it wait for what is queued. -ENOMEM, or what a job met. */
int stripe_writer_open(struct stripe_writer *writer, const struct stripe_info *info,
		       struct error *err);
bool stripe_writer_is_open(const struct stripe_writer *writer);

/* How far the open stripe is. */
struct stripe_fill {
	struct geometry geometry;
	unsigned extents;     /* begun */
	uint32_t filled;      /* bytes of payload in the last one */
	uint64_t closed_area; /* bytes of area of the others */
	uint32_t rows;        /* bytes: the longest area of the others */
};

void stripe_writer_fill(const struct stripe_writer *writer, struct stripe_fill *fill_out);

/* Whether @size bytes still go into the extent being filled. */
bool stripe_writer_fits(const struct stripe_writer *writer, size_t size);

/* Copy an atom into the open stripe, into a new extent if it does not fit into the one
 * being filled (there must be one left). Blocks while both buffers are busy. */
int stripe_writer_append(struct stripe_writer *writer, const struct atom *atom,
			 struct error *err);

/* Queue the rest of the open stripe, which has payload. *info_out describes it; its extents
 * are the caller's, but their hashes are there only when what is queued has been done. */
int stripe_writer_close(struct stripe_writer *writer, struct stripe_info *info_out,
			struct error *err);

/* Free the buffers until the next stripe is opened. The queue must be empty. */
void stripe_writer_release(struct stripe_writer *writer);
