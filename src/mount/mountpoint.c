/* SPDX-License-Identifier: MIT */
/* The kernel's list of mounts tells what is mounted where without asking the file system,
 * which may have died or hang. It is asked itself only if the list has it as ours, and for
 * what the kernel does not remember (statvfs); a dead one says ENOTCONN, one that dies over
 * the question ECONNABORTED.
 *
 * Whoever is not root may unmount what they mounted with the help of fusermount3, and with
 * nothing else.
 */
#include "mount/mountpoint.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "mount/session.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define MOUNT_LIST "/proc/self/mountinfo"

extern char **environ;

int mountpoint_path(const char *directory, char **path_out, struct error *err)
{
	autofree char *copy = strdup(directory);
	autofree char *copy2 = strdup(directory);
	autofree char *parent = NULL;
	const char *name;
	int n;

	if (!copy || !copy2)
		return error_set(err, -ENOMEM, "out of memory");
	name = basename(copy);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0)
		parent = realpath(directory, NULL);
	else
		parent = realpath(dirname(copy2), NULL);
	if (!parent)
		return error_set_errno(err, -errno, "'%s'", directory);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0) {
		*path_out = take_ptr(parent);
		return 0;
	}
	n = asprintf(path_out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
	return n < 0 ? error_set(err, -ENOMEM, "out of memory") : 0;
}

/* The list has octal numbers for space, tab, newline and backslash. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		unsigned code;

		if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
			*to++ = (char)code;
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* One line of the list: field 3 is the device, 5 the mountpoint, and behind " - " stands the
 * type. */
struct mount_line {
	unsigned major;
	unsigned minor;
	char *path;
	const char *type;
};

static bool parse_line(char *line, struct mount_line *parsed_out)
{
	struct mount_line parsed = { 0 };
	char *type = strstr(line, " - ");
	char *save = NULL;
	char *field;

	if (!type)
		return false;
	*type = '\0';
	type += 3;
	type[strcspn(type, " ")] = '\0';
	parsed.type = type;
	field = strtok_r(line, " ", &save);
	for (int i = 1; field && i < 5; i++) {
		field = strtok_r(NULL, " ", &save);
		if (i == 2 && field &&
		    sscanf(field, "%u:%u", &parsed.major, &parsed.minor) != 2)
			return false;
	}
	if (!field)
		return false;
	unescape(field);
	parsed.path = field;
	*parsed_out = parsed;
	return true;
}

/* What is on top at @path; *found_out false: nothing is mounted there. */
static int find_mount(const char *path, bool *found_out, bool *ours_out,
		      unsigned device_out[2], struct error *err)
{
	FILE *list = fopen(MOUNT_LIST, "re");
	autofree char *line = NULL;
	struct mount_line parsed;
	size_t size = 0;

	if (!list)
		return error_set_errno(err, -errno, "%s", MOUNT_LIST);
	*found_out = false;
	*ours_out = false;
	while (getline(&line, &size, list) > 0) {
		if (!parse_line(line, &parsed) || strcmp(parsed.path, path) != 0)
			continue;
		*found_out = true; /* the last one is on top */
		*ours_out = strcmp(parsed.type, SESSION_TYPE) == 0;
		device_out[0] = parsed.major;
		device_out[1] = parsed.minor;
	}
	(void)fclose(list);
	return 0;
}

int mountpoint_is_ours(const char *path, bool *ours_out, struct error *err)
{
	unsigned device[2] = { 0 };
	bool found = false, ours = false;
	int r;

	r = find_mount(path, &found, &ours, device, err);
	if (r == 0)
		*ours_out = ours;
	return r;
}

int mountpoint_device(const char *path, unsigned *major_out, unsigned *minor_out,
		      struct error *err)
{
	unsigned device[2] = { 0 };
	bool found = false, ours = false;
	int r;

	r = find_mount(path, &found, &ours, device, err);
	if (r < 0)
		return r;
	if (!found)
		return error_set(err, -ENOENT, "nothing is mounted at '%s'", path);
	*major_out = device[0];
	*minor_out = device[1];
	return 0;
}

static int run_fusermount(const char *path, bool lazy, struct error *err)
{
	char *const words[] = {
		(char[]){ "fusermount3" }, (char[]){ "-u" },
		(char[]){ "-q" },          (char *)(uintptr_t)(lazy ? "-z" : "--"),
		(char *)(uintptr_t)path,   NULL
	};
	pid_t pid;
	int status;
	int code;

	code = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);
	if (code != 0)
		return error_set_errno(err, -code, "fusermount3");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set_errno(err, -errno, "fusermount3");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, -EBUSY,
			 "'%s' is in use, or was mounted by another user; see --lazy",
			 path);
}

int mountpoint_unmount(const char *path, bool lazy, struct error *err)
{
	if (umount2(path, (lazy ? MNT_DETACH : 0) | UMOUNT_NOFOLLOW) == 0)
		return 0;
	switch (errno) {
	case EPERM:
		return run_fusermount(path, lazy, err);
	case EBUSY:
		return error_set(err, -EBUSY,
				 "'%s' is in use; --lazy unmounts it nevertheless", path);
	default:
		return error_set_errno(err, -errno, "'%s'", path);
	}
}

static int check_folder(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set_errno(err, -errno, "mountpoint '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "mountpoint '%s' is no folder", path);
	return 0;
}

int mountpoint_prepare(const char *path, struct error *err)
{
	struct statvfs space;
	bool ours = false;
	int r;

	r = mountpoint_is_ours(path, &ours, err);
	if (r < 0)
		return r;
	if (!ours)
		return check_folder(path, err);
	if (statvfs(path, &space) == 0)
		return error_set(err, -EBUSY, "an archive is mounted at '%s' already",
				 path);
	if (errno != ENOTCONN && errno != ECONNABORTED)
		return error_set_errno(err, -errno, "mountpoint '%s'", path);
	r = mountpoint_unmount(path, true, err);
	if (r < 0)
		return error_prefix(err, r, "a mount that died is in the way");
	return check_folder(path, err);
}

int mountpoint_lock(const char *path, int *fd_out, struct error *err)
{
	autofree char *copy = strdup(path);
	autoclose int fd = -1;

	if (!copy)
		return error_set(err, -ENOMEM, "out of memory");
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX) < 0)
		return error_set_errno(err, -errno, "lock of '%s'", copy);
	/* A folder that only others may read can't be locked, nor mounted in twice. */
	*fd_out = take_fd(&fd);
	return 0;
}
