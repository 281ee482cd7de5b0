/* SPDX-License-Identifier: MIT */
#pragma once
/* An atom on its way into the log: one whole zstd or skippable frame, in the pieces in which
 * its owner has it, so that a stored frame's content is copied once. A plain value; the
 * pieces are borrowed.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#define ATOM_PARTS_MAX 4 /* a stored frame: header, block, block header, block */

struct atom {
	struct iovec parts[ATOM_PARTS_MAX]; /* the first holds at least 8 bytes */
	unsigned count;
	size_t size; /* bytes, of all parts */
};

static inline void atom_add(struct atom *atom, const void *data, size_t size)
{
	assert(atom->count < ATOM_PARTS_MAX);
	atom->parts[atom->count++] = (struct iovec){
		.iov_base = (void *)(uintptr_t)data, /* only read */
		.iov_len = size,
	};
	atom->size += size;
}

static inline struct atom atom_of(const void *data, size_t size)
{
	struct atom atom = { .count = 0 };

	atom_add(&atom, data, size);
	return atom;
}

/* A pointer to an atom in one piece, which lives as long as the enclosing block. */
#define ATOM(data, size) ((struct atom[]){ atom_of(data, size) })

/* Copy all of it to @out, which holds atom->size bytes. */
static inline void atom_copy(const struct atom *atom, uint8_t *out)
{
	for (unsigned i = 0; i < atom->count; i++) {
		memcpy(out, atom->parts[i].iov_base, atom->parts[i].iov_len);
		out += atom->parts[i].iov_len;
	}
}
