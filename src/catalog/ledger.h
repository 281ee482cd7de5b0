/* SPDX-License-Identifier: MIT */
#pragma once
/* The ledger: when each stripe was verified last and what was found then, and the runs of
 * health that did it. Nothing in it comes from the volumes and nothing leads to bytes: it is
 * not dumped, and a catalog that was rebuilt has what the old one knew, if that could be read;
 * else it begins with an empty one, as if nothing had ever been verified. Times are clock_realtime_ns(). Threads: as the catalog.
 */
#include "catalog/catalog.h"
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>

/* One stripe, when it was verified last. */
struct ledger_entry {
	struct uuid volume;
	uint64_t offset; /* of the stripe in the volume */
	int64_t verified;
	int64_t run;      /* that did it: its start */
	uint64_t damaged; /* places that were found bad, and still are */
	uint64_t lost;    /* those of them that are beyond repair */
	unsigned margin;  /* extents that it can still lose anywhere */
};

/* All that is known of one volume. */
struct ledger_summary {
	uint64_t stripes; /* that were verified */
	int64_t oldest;   /* the verification that is longest ago; 0: none */
	uint64_t damaged, lost;
	unsigned margin; /* the least; UINT_MAX without a stripe */
};

struct ledger_run {
	int64_t started;
	int64_t ended; /* 0: it was stopped, or goes on */
	bool repair;
	bool deep;
	uint64_t bytes; /* verified */
	uint64_t found, repaired, lost;
};

/* Put @count entries in place of those of the same stripes, in one transaction. Never waits
 * for another writer: -EBUSY. */
int ledger_put(struct catalog *catalog, const struct ledger_entry *entries, size_t count,
	       struct error *err);
/* CATALOG_END: never verified. */
int ledger_get(struct catalog *catalog, const struct uuid *volume, uint64_t offset,
	       struct ledger_entry *entry_out, struct error *err);
/* Whether anything of any stripe is lost. */
int ledger_has_lost(struct catalog *catalog, bool *lost_out, struct error *err);
int ledger_summary(struct catalog *catalog, const struct uuid *volume,
		   struct ledger_summary *summary_out, struct error *err);

/* Add to @to what @from has, with the last run. What can't be read of it is left out. */
int ledger_copy(struct catalog *from, struct catalog *to, struct error *err);

/* By its start. Never waits: -EBUSY. */
int ledger_put_run(struct catalog *catalog, const struct ledger_run *run,
		   struct error *err);
/* The one that started last. CATALOG_END: there was none. */
int ledger_last_run(struct catalog *catalog, struct ledger_run *run_out,
		    struct error *err);
