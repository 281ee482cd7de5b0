/* SPDX-License-Identifier: MIT */
#pragma once
/* Segment readers for more threads than there are readers. A read takes one, and gives it
 * back. Internally locked: any thread.
 */
#include "archive/segment_reader.h"
#include "base/cleanup.h"

#include <stdint.h>

struct budget;
struct error;
struct frame_cache;
struct reader_pool;
struct source;

/* @limit readers (at least 1) at most for one medium; all parameters are borrowed. The first
 * reader is made at once, others when they are needed. -ENOMEM. */
int reader_pool_new(struct source *source, struct frame_cache *cache,
		    struct budget *budget, unsigned limit, struct reader_pool **pool_out,
		    struct error *err);
/* No reader may be out (asserted). */
void reader_pool_free(struct reader_pool *pool);
DEFINE_AUTOPTR(reader_pool);

/* A reader (segment_reader_serve()) for a read of this medium (segment_ref.medium). Waits
 * while the medium has @limit readers out, or while there is none to be had and the medium
 * has one out. So a medium that does not answer keeps nobody else waiting. -ENOMEM if not
 * even the medium's first one can be had. */
int reader_pool_take(struct reader_pool *pool, uint64_t medium,
		     struct segment_reader **reader_out, struct error *err);

void reader_pool_give(struct reader_pool *pool, struct segment_reader *reader);

/* What was read through the readers that were given back. */
void reader_pool_count(struct reader_pool *pool, struct segment_counters *counters_out);
