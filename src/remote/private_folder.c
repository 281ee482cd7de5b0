/* SPDX-License-Identifier: MIT */
/* They lie in $XDG_CACHE_HOME/blockframe/private (~/.cache/...), or else in /tmp. Each has a
 * file `lock` that its process holds with flock(); a folder whose lock can be had belongs to
 * nobody any more. A folder is only taken for one of these by its name and its owner.
 */
#include "remote/private_folder.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "blockframe-remote-"
#define LOCK "lock"

static int find_parent(char **path_out)
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (cache && cache[0] == '/')
		return asprintf(path_out, "%s/blockframe/private", cache);
	if (home && home[0] == '/')
		return asprintf(path_out, "%s/.cache/blockframe/private", home);
	return asprintf(path_out, "/tmp");
}

/* What is in it is files. */
static void remove_folder(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *file;

	while (dir && (file = readdir(dir)))
		if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0)
			(void)unlinkat(fd, file->d_name, 0);
	if (dir)
		(void)closedir(dir);
	else if (fd >= 0)
		(void)close(fd);
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* Whether the lock of folder @name of @parent_fd can be had. */
static int take_lock(int parent_fd, const char *name)
{
	char path[64 + sizeof(PREFIX)];
	int fd;

	(void)snprintf(path, sizeof(path), "%.60s/" LOCK, name);
	fd = openat(parent_fd, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void remove_left_ones(int parent_fd)
{
	DIR *dir = fdopendir(dup(parent_fd));
	struct dirent *file;

	while (dir && (file = readdir(dir))) {
		struct stat st;
		int lock;

		if (strncmp(file->d_name, PREFIX, strlen(PREFIX)) != 0 ||
		    fstatat(parent_fd, file->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
			continue;
		lock = take_lock(parent_fd, file->d_name);
		if (lock < 0)
			continue;
		remove_folder(parent_fd, file->d_name);
		(void)close(lock);
	}
	if (dir)
		(void)closedir(dir);
}

/* The lock is taken under another name, so that no lock that is not held is seen. */
static int lock_folder(struct private_folder *folder)
{
	autofree char *new = NULL;
	autofree char *lock = NULL;

	if (asprintf(&new, "%s/" LOCK ".new", folder->path) < 0)
		new = NULL; /* undefined after a failure */
	if (asprintf(&lock, "%s/" LOCK, folder->path) < 0)
		lock = NULL;
	if (!new || !lock)
		return -ENOMEM;
	folder->lock_fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (folder->lock_fd < 0 || flock(folder->lock_fd, LOCK_EX | LOCK_NB) < 0 ||
	    rename(new, lock) < 0)
		return -errno;
	return 0;
}

int private_folder_make(struct private_folder *folder, struct error *err)
{
	autofree char *parent = NULL;
	autoclose int fd = -1;
	int r;

	if (find_parent(&parent) < 0) {
		parent = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	r = mkdir_parents(AT_FDCWD, parent, 0700, err);
	if (r < 0)
		return r;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", parent);
	remove_left_ones(fd);
	if (asprintf(&folder->path, "%s/" PREFIX "XXXXXX", parent) < 0) {
		folder->path = NULL;
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	if (!mkdtemp(folder->path)) {
		r = error_set_errno(err, -errno, "'%s'", folder->path);
		free(folder->path);
		folder->path = NULL;
		return r;
	}
	r = lock_folder(folder);
	return r < 0 ? error_set_errno(err, r, "'%s'", folder->path) : 0;
}

void private_folder_remove(struct private_folder *folder)
{
	if (folder->path)
		remove_folder(AT_FDCWD, folder->path);
	cleanup_close_p(&folder->lock_fd);
	free(folder->path);
	folder->path = NULL;
}

void private_folder_touch(const struct private_folder *folder)
{
	autofree char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/news", folder->path) < 0) {
		path = NULL; /* undefined after a failure */
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cleanup_close_p(&fd);
	(void)unlink(path);
}
