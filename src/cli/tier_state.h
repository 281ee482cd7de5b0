/* SPDX-License-Identifier: MIT */
#pragma once
/* What the tier commands share: the state folder, its list of tiers, and their tables. Main
 * thread.
 */
#include "cli/command.h"
#include "tier/tier_list.h"

struct error;
struct stub_table;

struct tier_state {
	const char *path; /* borrowed from the invocation */
	int fd;
	struct tier_list list;
};

/* Opens the folder, with @create making it if it is missing. -ENOENT: there are no tiers. */
int tier_state_open(const struct invocation *invocation, bool create,
		    struct tier_state *state_out, struct error *err);
/* The same, to change the list: waits until nobody else does, which lasts until
 * tier_state_done(). */
int tier_state_open_to_change(const struct invocation *invocation, bool create,
			      struct tier_state *state_out, struct error *err);
void tier_state_done(struct tier_state *state);

/* Call @visit once for each table. Stops at a negative result. */
int tier_state_visit_tables(const struct tier_state *state,
			    int (*visit)(void *context, struct stub_table *table,
					 const struct tier_entry *tier,
					 struct error *err),
			    void *context, struct error *err);

/* How many stubs all tables have. */
int tier_state_count(const struct tier_state *state, uint64_t *count_out,
		     uint64_t *size_out, struct error *err);

/* The path without symlinks; the caller frees. -errno. */
int tier_resolve(const char *path, char **path_out, struct error *err);
