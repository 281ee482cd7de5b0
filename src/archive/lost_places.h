/* SPDX-License-Identifier: MIT */
#pragma once
/* Which places of the catalog lie in a stripe of which something was lost beyond repair, as
 * far as health has found out. A commit refers to none of them, and reads files again whose
 * content lies nowhere else: so committing a good source again gives back what was lost. The
 * ledger knows whole stripes only; up to one for each loss is stored again in vain.
 *
 * Threads: as the catalog.
 */
#include "merkle/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct error;
struct source;
struct uuid;
struct version_row;

struct lost_places {
	struct catalog *catalog; /* borrowed */
	bool any;                /* else all questions are answered without looking */
};

int lost_places_init(struct catalog *catalog, struct lost_places *lost_out,
		     struct error *err);

/* Whether the @size bytes of @volume's log at @log_offset are touched by a loss. */
int lost_places_have(const struct lost_places *lost, const struct uuid *volume,
		     uint64_t log_offset, uint64_t size, bool *lost_out,
		     struct error *err);

/* Whether some segment of @row's file, or of its long attributes, has no other place. The row
 * has its line. May read list pages from @source. */
int lost_places_touch(const struct lost_places *lost, struct source *source,
		      const struct version_row *row, bool *touched_out,
		      struct error *err);
