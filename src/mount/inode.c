/* SPDX-License-Identifier: MIT */
/* From the top: 5 bits epoch, 3 bits kind, 22 bits number, 34 bits node plus one. So live
 * folders have small numbers, and 0, which FUSE does not allow, is none.
 *
 * What is no folder has its version in its number: another version is another inode, so the
 * content behind a number never changes, and pages of two versions can't mix in the kernel's
 * cache. The same version is the same inode in the live tree, in the trees of commits and
 * among the versions, and is cached once.
 *
 * The epoch is there because a rebuilt catalog numbers its nodes anew. What the kernel still
 * holds of the old one is stale then, and must be recognised.
 */
#include "mount/inode.h"

#include <errno.h>

#define NODE_BITS 34
#define NUMBER_BITS 22
#define KIND_BITS 3

int inode_encode(const struct inode *inode, uint64_t *number_out)
{
	uint64_t number = inode->epoch;

	if (inode->epoch > INODE_EPOCH_MAX || inode->number > INODE_NUMBER_MAX ||
	    inode->node < 0 || inode->node > INODE_NODE_MAX)
		return -EOVERFLOW;
	if (inode->kind == INODE_LIVE && inode->node == 0)
		number = 0;
	number = number << KIND_BITS | inode->kind;
	number = number << NUMBER_BITS | inode->number;
	number = number << NODE_BITS | (uint64_t)(inode->node + 1);
	*number_out = number;
	return 0;
}

bool inode_decode(uint64_t number, struct inode *inode_out)
{
	struct inode inode = { 0 };
	unsigned kind;

	inode.node = (int64_t)(number & ((UINT64_C(1) << NODE_BITS) - 1)) - 1;
	number >>= NODE_BITS;
	inode.number = (uint32_t)(number & INODE_NUMBER_MAX);
	number >>= NUMBER_BITS;
	kind = (unsigned)(number & ((1u << KIND_BITS) - 1));
	inode.epoch = (unsigned)(number >> KIND_BITS);
	if (inode.node < 0 || kind > INODE_SPECIAL)
		return false;
	inode.kind = (enum inode_kind)kind;
	if (inode.number != 0 && (kind == INODE_LIVE || kind == INODE_VERSIONS))
		return false;
	*inode_out = inode;
	return true;
}
