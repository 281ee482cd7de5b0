/* SPDX-License-Identifier: MIT */
#pragma once
/* Room that recalls under way will need: each sees what the others have asked for and have
 * not written yet, so that of several that do not fit together some are refused before they
 * begin, and none in its middle.
 *
 * Threads: internally locked.
 */
#include "base/mutex.h"

#include <stdint.h>
#include <sys/types.h>

struct error;

struct space {
	struct mutex mutex; /* guards the claims */
	struct space_claim *claims;
};

/* Of one recall; the caller's. */
struct space_claim {
	struct space *space;
	struct space_claim *next;
	dev_t device;
	uint64_t left; /* bytes */
};

void space_init(struct space *space);
void space_done(struct space *space);

/* Ask for @size bytes on the file system of @fd, which is to have @spare bytes left then.
 * -ENOSPC: it will not. On success the caller calls space_give_back() in the end. */
int space_take(struct space *space, int fd, uint64_t size, uint64_t spare,
	       struct space_claim *claim, struct error *err);

/* No more than @left bytes are still to be written. */
void space_keep(struct space_claim *claim, uint64_t left);

void space_give_back(struct space_claim *claim);
