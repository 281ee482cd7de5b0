/* SPDX-License-Identifier: MIT */
#pragma once
/* Workers that decode ahead of those who read in order, into the shared cache. They are help
 * only: nobody waits for them to begin, what fails here fails again where it is read, and
 * what is not done in time the reader does itself.
 *
 * Internally locked: any thread.
 */
#include "base/cleanup.h"

#include <stdint.h>

struct budget;
struct content;
struct error;
struct frame_cache;
struct read_ahead;
struct source;

/* @workers threads, at least 1. All but one of them may be busy with one medium, so that a
 * slow one leaves a worker to the others. The parameters are borrowed. -ENOMEM, -EAGAIN. */
int read_ahead_new(struct source *source, struct frame_cache *cache,
		   struct budget *budget, unsigned workers, struct read_ahead **ahead_out,
		   struct error *err);
/* Forgets everything and waits for what is under way. */
void read_ahead_free(struct read_ahead *ahead);
DEFINE_AUTOPTR(read_ahead);

/* @reader (any address, which only names who asks) will want content [@offset, @end). What it
 * asked for earlier and was not begun is forgotten, unless this continues it. @medium is
 * where it reads now. A content is referenced while it is needed. Workers have the
 * log_subject() of the calling thread. Never blocks. */
void read_ahead_want(struct read_ahead *ahead, const void *reader,
		     struct content *content, uint64_t medium, uint64_t offset,
		     uint64_t end);

/* @reader has gone elsewhere: forget what was not begun. */
void read_ahead_forget(struct read_ahead *ahead, const void *reader);

/* Frames that were decoded so far. */
uint64_t read_ahead_count(struct read_ahead *ahead);
