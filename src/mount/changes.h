/* SPDX-License-Identifier: MIT */
#pragma once
/* Tells the kernel to forget what commits have changed, or everything. Not on a thread that
 * answers requests: the kernel may wait for these first.
 */
#include "mount/inode.h"

#include <stdint.h>

struct fuse_session;
struct request;

/* What differs between commits @after and @last. A failure leaves the kernel with what it
 * has, until that is too old. */
int changes_tell(struct request *request, struct fuse_session *fuse, uint64_t after,
		 uint64_t last);

/* All names at the top, with everything below them. */
int changes_tell_all(struct request *request, struct fuse_session *fuse);
