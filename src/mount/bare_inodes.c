/* SPDX-License-Identifier: MIT */
#include "mount/bare_inodes.h"

#include "mount/inode.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SLOT_BITS 18u /* 2 MiB, as far as they are used */
#define SLOTS (1u << SLOT_BITS)

struct bare_inodes {
	_Atomic uint64_t slots[SLOTS]; /* inode numbers; 0: free */
};

struct bare_inodes *bare_inodes_new(void)
{
	return calloc(1, sizeof(struct bare_inodes));
}

static _Atomic uint64_t *slot_of(struct bare_inodes *bare, uint64_t number)
{
	uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15);

	return &bare->slots[mixed >> (64 - SLOT_BITS)];
}

void bare_inodes_add(struct bare_inodes *bare, uint64_t number)
{
	struct inode inode;

	if (inode_decode(number, &inode) && inode.kind == INODE_VERSION)
		atomic_store_explicit(slot_of(bare, number), number,
				      memory_order_relaxed);
}

bool bare_inodes_have(struct bare_inodes *bare, uint64_t number)
{
	return atomic_load_explicit(slot_of(bare, number), memory_order_relaxed) ==
	       number;
}
