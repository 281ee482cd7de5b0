/* SPDX-License-Identifier: MIT */
#include "tier/marker_scan.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "tier/marker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scan {
	int (*visit)(void *context, int fd, const struct marker *marker, const char *path,
		     struct error *err);
	void *context;
	dev_t device;
};

static int look_at_file(const struct scan *scan, int folder, const char *name,
			const char *folder_path, struct error *err)
{
	autoclose int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	autofree char *path = NULL;
	struct marker marker;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0
				       : error_set_errno(err, -errno, "'%s/%s'",
							 folder_path, name);
	r = marker_get_path_fd(fd, &marker);
	if (r == -ENODATA)
		return 0;
	if (r < 0 && r != -EBADMSG)
		return error_set_errno(err, r, "'%s/%s'", folder_path, name);
	if (asprintf(&path, "%s/%s", folder_path, name) < 0) {
		path = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	return scan->visit(scan->context, fd, r < 0 ? NULL : &marker, path, err);
}

static unsigned char type_of(int folder, const struct dirent *entry)
{
	struct stat stat;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type;
	if (fstatat(folder, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (unsigned char)IFTODT(stat.st_mode);
}

static int scan_folder(const struct scan *scan, int fd, const char *path,
		       struct error *err);

static int scan_below(const struct scan *scan, int folder, const char *name,
		      const char *folder_path, struct error *err)
{
	autoclose int fd =
		openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *path = NULL;
	struct stat stat;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s/%s'", folder_path, name);
	if (stat.st_dev != scan->device)
		return 0;
	if (asprintf(&path, "%s/%s", folder_path, name) < 0) {
		path = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	return scan_folder(scan, take_fd(&fd), path, err);
}

static int scan_entry(const struct scan *scan, int folder, const struct dirent *entry,
		      const char *path, struct error *err)
{
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	switch (type_of(folder, entry)) {
	case DT_REG:
		return look_at_file(scan, folder, entry->d_name, path, err);
	case DT_DIR:
		return scan_below(scan, folder, entry->d_name, path, err);
	default:
		return 0;
	}
}

/* Takes @fd over. How deep it goes is bounded by the descriptors that a process may have: one
 * for each level. */
static int scan_folder(const struct scan *scan, int fd, const char *path,
		       struct error *err)
{
	DIR *folder = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!folder) {
		(void)close(fd);
		return error_set(err, -ENOMEM, "no memory to read a folder");
	}
	errno = 0;
	while (r == 0 && (entry = readdir(folder))) {
		r = scan_entry(scan, dirfd(folder), entry, path, err);
		errno = 0;
	}
	if (r == 0 && errno)
		r = error_set_errno(err, -errno, "'%s'", path);
	(void)closedir(folder);
	return r;
}

int marker_scan(int folder_fd, const char *folder,
		int (*visit)(void *context, int fd, const struct marker *marker,
			     const char *path, struct error *err),
		void *context, struct error *err)
{
	struct scan scan = { .visit = visit, .context = context };
	autoclose int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", folder);
	scan.device = stat.st_dev;
	return scan_folder(&scan, take_fd(&fd), folder, err);
}
