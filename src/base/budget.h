/* SPDX-License-Identifier: MIT */
#pragma once
/* The memory budget ([limits] memory), and page-aligned buffers taken from it.
 *
 * Everything whose size depends on data (extent buffers, parity accumulators, caches) is
 * reserved here first. A reservation never waits: who does not get what they want asks
 * for less (fewer workers, smaller extents) or fails with -ENOMEM.
 *
 * Threads: a budget is internally locked. A buffer belongs to one thread at a time.
 */
#include "base/cleanup.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define BUFFER_ALIGNMENT 4096u /* bytes; what O_DIRECT wants */

struct budget;

/* A budget of @size bytes. -ENOMEM. The caller frees it after everything was released. */
int budget_new(uint64_t size, struct budget **budget_out);

/* NULL is allowed. All reservations must have been released (asserted). */
void budget_free(struct budget *budget);
DEFINE_AUTOPTR(budget);

/* Take @size bytes for @what, a noun for the message. -ENOMEM when less is left: the text
 * says what was wanted, how much, how much is left and the setting to raise. */
int budget_reserve(struct budget *budget, uint64_t size, const char *what,
		   struct error *err);

/* Give back @size bytes. */
void budget_release(struct budget *budget, uint64_t size);

/* Bytes in total, and bytes not reserved at this moment. */
uint64_t budget_size(const struct budget *budget);
uint64_t budget_available(struct budget *budget);

/* Memory of its own mapping, zeroed, aligned to BUFFER_ALIGNMENT. { 0 } is an empty one. */
struct buffer {
	uint8_t *data;
	size_t size;           /* bytes, as asked for */
	struct budget *budget; /* where they were reserved, rounded up to whole pages */
};

/* Reserve and map @size > 0 bytes. -ENOMEM (*buffer is untouched). */
int buffer_alloc(struct buffer *buffer, struct budget *budget, size_t size,
		 const char *what, struct error *err);

/* Unmap and release; *buffer is { 0 } then. An empty one is allowed. */
void buffer_free(struct buffer *buffer);

/* Owning local: autobuffer struct buffer b = { 0 }; */
#define autobuffer __attribute__((__cleanup__(buffer_free)))

static inline struct buffer take_buffer(struct buffer *buffer)
{
	struct buffer taken = *buffer;

	*buffer = (struct buffer){ 0 };
	return taken;
}
