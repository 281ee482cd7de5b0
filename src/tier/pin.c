/* SPDX-License-Identifier: MIT */
#include "tier/pin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PROC_PATH_MAX (64 + NAME_MAX) /* bytes */

static void proc_path(int fd, char path[PROC_PATH_MAX])
{
	(void)snprintf(path, PROC_PATH_MAX, "/proc/self/fd/%d", fd);
}

bool pin_get(int fd)
{
	char path[PROC_PATH_MAX];

	proc_path(fd, path);
	return getxattr(path, PIN_NAME, NULL, 0) >= 0;
}

bool pin_get_at(int folder, const char *name)
{
	char path[PROC_PATH_MAX];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder, name);
	return lgetxattr(path, PIN_NAME, NULL, 0) >= 0;
}

int pin_set(int fd, int folder, bool pinned)
{
	char path[PROC_PATH_MAX];
	int r;

	proc_path(fd, path);
	r = pinned ? setxattr(path, PIN_NAME, "", 0, 0) : removexattr(path, PIN_NAME);
	if (r < 0 && errno != ENODATA)
		return -errno;
	/* Opening the file itself would recall a stub. */
	return syncfs(folder) < 0 ? -errno : 0;
}
