/* SPDX-License-Identifier: MIT */
#pragma once
/* A hot tier in use: its folder, its table of stubs, and the archive that has their contents.
 *
 * Threads: immutable once open; table and archive are internally locked.
 */
#include "tier/handle.h"

#include <stdbool.h>
#include <stddef.h>

struct backing;
struct error;
struct stub_table;
struct tier_entry;

struct tier {
	char *folder; /* owned, as all below */
	char *into;
	int root_fd;  /* the folder: keeps the file system mounted */
	bool beneath; /* it was opened beneath a cover (tier/cover.h) */
	struct tier_uuid uuid;
	struct stub_table *table;
	struct backing *backing;
	struct hash archive_id;
};

struct tiers {
	struct tier *items; /* owned */
	size_t count;
};

/* Open all of the list in the state folder. @reserve bytes of each archive's budget are set
 * aside. */
int tiers_open(const char *state, int state_fd, uint64_t reserve, struct tiers *tiers_out,
	       struct error *err);
void tiers_done(struct tiers *tiers);

/* The tier on the file system of @fd: all that are on one have the same table. NULL. */
struct tier *tiers_of_file(const struct tiers *tiers, int fd);

/* The one of archive @id on the file system of @tier, or anywhere. NULL. */
struct tier *tiers_with_archive(const struct tiers *tiers, const struct hash *id);

/* Open the table of a file system, by its UUID. */
int tier_table_open(const char *state, const struct tier_uuid *uuid, bool create,
		    struct stub_table **table_out, struct error *err);
