/* SPDX-License-Identifier: MIT */
#pragma once
/* Where the bytes of an answer come from. Reading may wait for media, so it happens on the
 * pool's threads only; one thread at a time for what is sequential, else any number.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct body;
struct error;
struct read_pieces;

#define BODY_SIZE_UNKNOWN UINT64_MAX

struct body_ops {
	/* Read at most @size > 0 bytes at @offset. *size_out is 0 only at the end. It may
	 * be less than @size, also in front of what can't be read; a read that begins
	 * there gives the error. */
	int (*read)(struct body *body, uint64_t offset, void *data, size_t size,
		    size_t *size_out, struct error *err);
	void (*free)(struct body *body);
	/* The same, as @pieces, which are empty and have a buffer for @size bytes. NULL: there
	 * is nothing to be saved by that. */
	int (*lend)(struct body *body, uint64_t offset, struct read_pieces *pieces,
		    size_t size, struct error *err);
};

struct body {
	const struct body_ops *ops;
	uint64_t size; /* bytes, or BODY_SIZE_UNKNOWN: then it is read in order, once */
};

/* NULL is a no-op. */
static inline void body_free(struct body *body)
{
	if (body)
		body->ops->free(body);
}
DEFINE_AUTOPTR(body);
