/* SPDX-License-Identifier: MIT */
#include "tier/obstacle.h"

#include "base/error.h"
#include "tier/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static enum policy_skip obstacle(enum policy_skip skip, const char *text,
				 struct error *err)
{
	(void)error_set(err, -EINVAL, "%s", text);
	return skip;
}

enum policy_skip obstacle_find(int fd, struct error *err)
{
	struct stat stat;
	int flags = 0;

	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode))
		return obstacle(POLICY_SPECIAL, "not a regular file", err);
	if (stat.st_size == 0)
		return obstacle(POLICY_SMALL, "it is empty", err);
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 &&
	    flags & (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_VERITY_FL | FS_DAX_FL))
		return obstacle(POLICY_IMMUTABLE,
				"it is immutable, append-only, or otherwise special",
				err);
	if (fgetxattr(fd, "security.capability", NULL, 0) >= 0)
		return obstacle(POLICY_CAPABILITIES,
				"it has capabilities, which it would lose", err);
	if (pin_get(fd))
		return obstacle(POLICY_PINNED, "it is pinned", err);
	return POLICY_TAKE;
}

enum policy_skip obstacle_find_user(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return POLICY_IN_USE;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return POLICY_TAKE;
}
