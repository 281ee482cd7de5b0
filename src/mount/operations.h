/* SPDX-License-Identifier: MIT */
#pragma once
/* What the kernel asks of the mount, as libfuse's table of functions. Its user data is the
 * struct file_system. Any thread.
 */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#define MOUNT_READ_MAX (1u << 20) /* bytes of one read request */

extern const struct fuse_lowlevel_ops mount_operations;

struct file_system;

/* Close what the kernel has not closed, because the connection to it ended before. Nobody
 * may be reading. */
void operations_close_all(struct file_system *fs);
