/* SPDX-License-Identifier: MIT */
#pragma once
/* A source of tree and list pages in memory, for tests: it counts what is asked of it and
 * checks what is given to it. It has no segments (-ENOENT).
 * Threads: one at a time.
 */
#include "archive/source.h"
#include "archive/tree_builder.h"

#include <stdbool.h>

/* An empty source. The caller frees it with source_free(). 0 or -ENOMEM. */
int source_memory_new(struct source **source_out);

/* Keep a copy of a payload under any hash at all, in place of what was there. */
int source_memory_put(struct source *source, const struct hash *hash,
		      const uint8_t *payload, size_t size);

/* Forget a page, which must be there. */
void source_memory_remove(struct source *source, const struct hash *hash);

bool source_memory_has(const struct source *source, const struct hash *hash);

/* A sink that puts pages here. Fails with -EEXIST when a page is there already, and with
 * -EBADMSG when its atom is not what the hash says. */
struct tree_sink source_memory_sink(struct source *source);

/* Pages asked for, and given by the sink, since the last source_memory_reset(). */
unsigned source_memory_reads(const struct source *source);
unsigned source_memory_writes(const struct source *source);
void source_memory_reset(struct source *source);
