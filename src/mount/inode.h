/* SPDX-License-Identifier: MIT */
#pragma once
/* Inode numbers of the mount. They are calculated, not handed out: a number says which node
 * of the catalog, as what, and in which version, so nothing is remembered for the kernel and
 * numbers stay the same across mounts (docs/decisions/005). Pure functions.
 */
#include <stdbool.h>
#include <stdint.h>

#define INODE_ROOT 1u                           /* FUSE's own number for it */
#define INODE_EPOCH_MAX 31u                     /* rebuilds that one mount can outlive */
#define INODE_NUMBER_MAX ((1u << 22) - 1)       /* commits; versions of one path */
#define INODE_NODE_MAX ((INT64_C(1) << 34) - 2) /* paths */

enum inode_kind {
	INODE_LIVE,    /* folder `node` of the mounted tree; `number` is 0 */
	INODE_VERSION, /* version `number` of `node`, which is no folder, in whatever tree */
	INODE_COMMIT,   /* folder `node` as of commit `number` */
	INODE_VERSIONS, /* folder of what is known of path `node`; `number` is 0 */
	INODE_SPECIAL,  /* `node` is an enum special */
};

struct inode {
	unsigned epoch; /* which catalog of this mount, from 0 */
	enum inode_kind kind;
	uint32_t number;
	int64_t node; /* of the catalog; 0 is the top */
};

/* The number of @inode; the top of the mounted tree is INODE_ROOT in every epoch.
 * -EOVERFLOW if something in it is above its maximum. */
int inode_encode(const struct inode *inode, uint64_t *number_out);

/* False: no inode has this number. */
bool inode_decode(uint64_t number, struct inode *inode_out);
