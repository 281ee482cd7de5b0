/* SPDX-License-Identifier: MIT */
#pragma once
/* Checkpoints: what makes a volume of an archive stand on its own. After its header comes
 * every page of the last head's tree, and the places of all segments on other volumes; so
 * this volume alone knows every name, and where the rest is. One thread at a time, in the
 * caller's catalog transaction.
 */
#include "merkle/hash.h"

struct active_volume;
struct error;
struct source;

/* Append every page of the tree @root that @active does not list yet, reading them from
 * @source. -EFBIG if they would fill more than an eighth of [volume] max_size; CHECKPOINT_FULL
 * if the volume can't take them (some are appended then). */
#define CHECKPOINT_FULL 1
int checkpoint_append_tree(struct active_volume *active, struct source *source,
			   const struct hash *root, struct error *err);

/* Whether @active's records list the tree page @hash: 1, 0 or an error. */
int checkpoint_has(const struct active_volume *active, const struct hash *hash,
		   struct error *err);

/* Write the checkpoint of the catalog's last commit and mark @active as begun. Durable on
 * return. */
int checkpoint_write(struct active_volume *active, struct source *source,
		     struct error *err);
