/* SPDX-License-Identifier: MIT */
#pragma once
/* The tiers of the configuration beside those of the list. `tier run` enters them into the list,
 * so that their stubs are guarded whatever becomes of the configuration: one whose table is
 * gone from there stays, without passes, until `tier remove`. Main thread.
 */
#include <stdbool.h>

struct config;
struct error;
struct tier_entry;
struct tier_state;

/* Give the entries of the list that are configured their present policies, and with @enter add
 * those that are missing. A folder that was added by a command keeps what that said. */
int tier_config_apply(struct tier_state *state, const struct config *config, bool enter,
		      struct error *err);

/* Call @visit for the entries of the list, and, with @in_use false, for the tiers that the
 * configuration has besides. Stops at a negative result. */
int tier_config_visit(struct tier_state *state, const struct config *config,
		      int (*visit)(void *context, const struct tier_entry *entry,
				   bool in_use, struct error *err),
		      void *context, struct error *err);
