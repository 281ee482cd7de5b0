/* SPDX-License-Identifier: MIT */
#pragma once
/* Brings the catalog to the state of a tree of which some pages are lost. One thread at a
 * time.
 */
#include "merkle/hash.h"

#include <stdint.h>

struct catalog;
struct error;
struct source;

/* Make the current versions in @catalog those of the tree @root, as of commit @sequence.
 * Names in pages that can't be read stay as they are. Reads the whole tree twice, and once
 * more for every 8 MiB of names that went. */
int salvage_tree(struct catalog *catalog, struct source *source, uint64_t sequence,
		 const struct hash *root, struct error *err);
