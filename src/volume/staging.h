/* SPDX-License-Identifier: MIT */
#pragma once
/* Holds back the first atoms of a commit until it is known how large it gets. Threads: one
 * at a time. */
#include "base/budget.h"
#include "volume/atom.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct staging {
	struct buffer buffer; /* atoms one after the other, each behind its u32 size */
	size_t used;          /* bytes of the buffer */
	uint64_t bytes;       /* of atoms */
};

/* A place in the buffer; 0 is the first atom. */
struct staging_cursor {
	size_t offset;
};

/* Whether an atom of @size still fits into a buffer of @capacity bytes. */
bool staging_fits(const struct staging *staging, size_t size, size_t capacity);

/* Copy an atom that fits. The buffer is made at the first one. -ENOMEM. */
int staging_add(struct staging *staging, struct budget *budget, size_t capacity,
		const struct atom *atom, struct error *err);

/* The next atom, borrowed until staging_done(); NULL behind the last. */
const void *staging_next(const struct staging *staging, struct staging_cursor *cursor,
			 size_t *size_out);

/* The fewest frames f, from @frames to @frames_max, with which @data extents hold all atoms,
 * none of them split; 0 if none do. */
unsigned staging_frames(const struct staging *staging, unsigned data, unsigned frames,
			unsigned frames_max);

/* Forget the atoms, free the buffer. */
void staging_done(struct staging *staging);
