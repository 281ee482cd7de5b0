/* SPDX-License-Identifier: MIT */
#pragma once
/* What the groups of the outer code can give of a volume that is not asked itself. One thread at
 * a time. */
#include <stdint.h>

struct catalog;
struct copies;
struct error;
struct uuid;

/* Bytes of the log of @volume that its groups can give from other volumes, as far as those are
 * attached (@copies tells). Nothing is read: one of them may have lost something. */
int outer_reach_get(const struct copies *copies, struct catalog *catalog,
		    const struct uuid *volume, uint64_t *bytes_out, struct error *err);
