/* SPDX-License-Identifier: MIT */
#pragma once
/* What is in the archive's top besides its entries: the hidden folder .blockframe with
 *
 *     commits/<number>/...   each commit's tree; <hash>, abbreviated, is a symlink to one
 *     versions/<path>/<n>    each version of each path
 *     health                 what was verified, repaired and lost since the mount
 *
 * Threads: as the request.
 */
#include "mount/inode.h"

#include <stddef.h>

struct bytes;
struct request;
struct stat;

#define SPECIAL_NAME ".blockframe"

/* The nodes of INODE_SPECIAL. */
enum special {
	SPECIAL_FOLDER = 1,
	SPECIAL_COMMITS,
	SPECIAL_HEALTH,
	SPECIAL_COMMIT_HASH, /* symlink to commit `number` of the inode */
};

/* The inode of @name in special folder @folder, which may be of any kind. -ENOENT. */
int special_lookup(struct request *request, const struct inode *folder,
		   const struct bytes *name, struct inode *inode_out);

/* The folder above one of INODE_SPECIAL, of the top of a commit or of the versions. */
void special_parent(const struct inode *inode, struct inode *parent_out);

int special_stat(struct request *request, const struct inode *inode,
		 struct stat *stat_out);

/* The target of a SPECIAL_COMMIT_HASH. */
#define SPECIAL_TARGET_MAX 24u /* bytes, NUL included */
void special_target(const struct inode *inode, char target_out[SPECIAL_TARGET_MAX]);

/* The text of .blockframe/health; the caller frees it. */
int special_health(struct request *request, char **text_out, size_t *size_out);
