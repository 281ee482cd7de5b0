/* SPDX-License-Identifier: MIT */
#pragma once
/* How many copies there are: of what lies on which volumes, as [volume] copies counts them.
 * Volumes in one place are one copy together, since a disk is lost as a whole; a volume that
 * is away counts where it was last seen; one that is retired does not count. One thread at a
 * time with the catalog that the volumes are from.
 */
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct catalog;
struct error;

struct copy_volume {
	struct uuid uuid;
	unsigned place; /* number of its place; UINT_MAX: retired */
	bool attached;
	const char *file; /* where it is, or was; owned */
};

struct copies {
	struct copy_volume *volumes; /* owned */
	size_t count;
	unsigned wanted;   /* [volume] copies */
	unsigned usable;   /* the most that the places that are there now can hold */
	struct hash cause; /* of all that the number of copies of anything depends on */
};

/* @catalog is the archive's, in a transaction or not. */
int copies_load(struct archive *archive, struct catalog *catalog,
		struct copies *copies_out, struct error *err);
void copies_done(struct copies *copies);
#define autocopies __attribute__((__cleanup__(copies_done)))

/* A set of places: of the volumes that something lies on. Zeroes at first. */
struct copy_set {
	uint64_t places;   /* a bit each; the 64th stands for all that are more */
	uint64_t attached; /* of these */
};

void copies_add(const struct copies *copies, const struct uuid *volume,
		struct copy_set *set);
unsigned copies_count(const struct copy_set *set);

/* Whether this need not be written again: it can be read, and is in as many places as it is
 * to be, or in all that are there. */
bool copies_suffice(const struct copies *copies, const struct copy_set *set);

/* What has fewer copies than [volume] copies, by bytes as they are stored. */
struct copies_missing {
	uint64_t segments, bytes;   /* content */
	uint64_t pages, page_bytes; /* of the tree */
	uint64_t unreadable;        /* bytes of those, that no attached volume has */
	unsigned
		least; /* copies that there are of everything; UINT_MAX: there is nothing */
};

/* Looks at all segments and pages, if there are new records, or other volumes or places than
 * when it did last; else the catalog has remembered what it found. */
int copies_find_missing(const struct copies *copies, struct catalog *catalog,
			struct copies_missing *missing_out, struct error *err);

/* Bytes that only @volume has, and nothing that is not retired besides. */
int copies_only_on(const struct copies *copies, struct catalog *catalog,
		   const struct uuid *volume, uint64_t *bytes_out, struct error *err);
