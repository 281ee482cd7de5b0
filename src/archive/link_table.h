/* SPDX-License-Identifier: MIT */
#pragma once
/* The inodes with several names that a commit has met, so that content is stored once: each
 * with the key of its first name. An entry goes when as many names were seen as the inode
 * has, so the table grows with links that are open, not with files.
 *
 * Threads: one at a time.
 */
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link_table;
struct stat;

/* An inode with several names. */
struct link {
	struct bytes key; /* of its first name */
	bool failed;      /* that name could not be read */
	bool carried;     /* its content is known, and was not read */
	unsigned users;   /* the table, while it is in there, and changes */

	/* The table's. */
	uint64_t device;
	uint64_t inode;
	uint64_t names_left;
	struct link *next; /* same bucket */
};

int link_table_new(struct link_table **table_out);
void link_table_free(struct link_table *table);
DEFINE_AUTOPTR(link_table);

/* Note that @key is a name of @stat's inode. *link_out is the inode's entry if it has been
 * seen before, with the caller as a user; and if this is its first name, then NULL, or,
 * with *first_out, the new entry with the caller as a user. -ENOMEM. */
int link_table_meet(struct link_table *table, const struct stat *stat, const uint8_t *key,
		    size_t key_size, struct link **link_out, struct link **first_out);

/* NULL is allowed. */
void link_unref(struct link *link);
