/* SPDX-License-Identifier: MIT */
#pragma once
/* Making a folder a tier, whether a command or the configuration asks for it. Main thread. */
#include "tier/tier_list.h"

struct error;
struct tier_state;

/* Fill the paths of an entry that is { 0 } otherwise: @folder, which has no symlinks; @archive
 * without them; @into, NULL: the folder's name. The caller calls tier_entry_done() whatever happened. */
int tier_entry_resolve(struct tier_entry *entry, const char *folder, const char *archive,
		       const char *into, struct error *err);

/* Check that it can be a tier, and add it to the list, durably. Its UUID is found out. -EEXIST,
 * -EINVAL, -EOPNOTSUPP. */
int tier_enter(struct tier_state *state, struct tier_entry *entry, struct error *err);
