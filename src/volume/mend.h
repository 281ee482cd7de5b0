/* SPDX-License-Identifier: MIT */
#pragma once
/* Overwrites damaged blocks of one stripe with what they must be: the rule that every repair
 * follows. Under the volume's repair lock; only 4 KiB blocks that differ; read again after.
 * What is handed in was proved before: it matches a hash in a record, or follows from one.
 *
 * Threads: any. Sessions of one volume exclude each other (volume/rewriter.h).
 */
#include "volume/stripe_view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct error;

/* Places that lie side by side are read and written together, up to so many bytes. A call
 * takes twice the longest run of them, and at least two leaves. */
#define MEND_RUN_MAX (1u << 20)

enum mend_result {
	MEND_WRITTEN = 0, /* overwritten, and read again */
	MEND_SOUND = 1,   /* the medium had it right: somebody else was faster */
			  /* < 0: why it was not written */
};

/* A leaf, a page or other whole blocks that are damaged, and what they must be. */
struct damage {
	unsigned extent;      /* that it is in */
	uint64_t offset;      /* bytes, in the volume */
	uint32_t size;        /* bytes; whole blocks, up to LEAF_SIZE */
	const uint8_t *right; /* any alignment; borrowed */
	int result;           /* out: enum mend_result, or a negative errno */
	unsigned blocks;      /* out: that were written */
};

struct mend_terms {
	unsigned patience_ms; /* how long to wait for the lock at most */
	/* The file may begin with one block of another volume, if this volume's own pages
	 * follow it: damage, as who looked at the whole stripe can tell. Else it is taken for
	 * the beginning of a copy. */
	bool foreign_block_is_damage;
	/* Another stripe of the volume. If nothing is left of the one to be mended, its pages tell
	 * whether the volume is still there. NULL: then nothing is written. */
	const struct stripe_info *landmark;
};

/* Mend @count places of view->info's stripe in one session. Each of them has its
 * result. Returns 0 if none failed, else the first failure
 * (-EBUSY: the lock was not to be had; -EROFS, -EACCES, -ENOSPC, -EIO; -ERANGE: it lies
 * behind the end of the file; -ESTALE: another volume stands there by now); what comes after
 * a failure to write is not tried, and fails for the same reason. */
int mend(struct backend *backend, const struct stripe_view *view,
	 const struct mend_terms *terms, struct damage *damages, size_t count,
	 struct error *err);
