/* SPDX-License-Identifier: MIT */
/* Everything happens relative to an open folder, by names of one component; folders on the
 * way are opened with O_NOFOLLOW one chunk of components after the other (openat2 with
 * RESOLVE_NO_SYMLINKS), so paths may be longer than PATH_MAX.
 *
 * Owner before mode (chown clears set-uid), xattrs with ACLs after mode (they refine it),
 * times last (everything else changes them).
 */
#include "archive/restore_target.h"

#include "archive/reader.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNK_MAX 2048 /* bytes of path resolved in one call */

/* What there is of the path @directory: the nearest folder on the way to it. */
static int open_nearest(const char *directory, int *fd_out, struct error *err)
{
	autofree char *path = strdup(directory);
	int fd;

	if (!path)
		return error_set(err, -ENOMEM, "out of memory");
	for (;;) {
		char *slash = strrchr(path, '/');

		fd = open(path[0] ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			break;
		if (slash)
			*slash = '\0';
		else if (strcmp(path, ".") == 0)
			break;
		else
			memcpy(path, ".", 2); /* a name has at least one letter */
	}
	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", directory);
	*fd_out = fd;
	return 0;
}

static int refuse_own(const char *directory, struct error *err)
{
	return error_set(err, -EINVAL,
			 "'%s' is the archive's own folder, or lies in it: restore to "
			 "another one",
			 directory);
}

static int make_directory(const char *directory, const struct own_folders *own,
			  struct error *err)
{
	autoclose int nearest_fd = -1;
	int r;

	r = open_nearest(directory, &nearest_fd, err);
	if (r < 0)
		return r;
	if (own_folders_hold(own, nearest_fd))
		return refuse_own(directory, err);
	r = mkdir_parents(AT_FDCWD, directory, 0777, err);
	return r < 0 ? error_prefix(err, r, "'%s'", directory) : 0;
}

int target_open(const struct archive *archive, const char *directory,
		struct target *target_out, struct error *err)
{
	struct target target = { .privileged = geteuid() == 0 };
	autoclose int fd = -1;
	struct stat st;
	int r;

	own_folders_of(archive, &target.own);
	r = make_directory(directory, &target.own, err);
	if (r < 0)
		return r;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(err, -errno, "'%s'", directory);
	if (own_folders_has(&target.own, &st) ||
	    own_folders_hold(&target.own, fd)) /* "new/../archive" gets here */
		return refuse_own(directory, err);
	target.fd = take_fd(&fd);
	*target_out = target;
	return 0;
}

void target_parent_done(struct target_parent *parent)
{
	cleanup_close_p(&parent->fd);
	free(parent->path.data);
	*parent = (struct target_parent){ .fd = -1 };
}

static int open_chunk(int fd, const char *path, size_t size)
{
	char chunk[CHUNK_MAX + 1];
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long r;

	memcpy(chunk, path, size);
	chunk[size] = '\0';
	r = syscall(SYS_openat2, fd, chunk, &how, sizeof(how));
	return r < 0 ? -errno : (int)r;
}

/* Bytes of whole components at the start of @path, at most CHUNK_MAX. */
static size_t chunk_size(const char *path, size_t size)
{
	if (size <= CHUNK_MAX)
		return size;
	for (size = CHUNK_MAX; size > 0 && path[size] != '/';)
		size--;
	return size;
}

static int open_folder(const struct target *target, const char *path, size_t size,
		       int *fd_out)
{
	autoclose int fd = fcntl(target->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	while (size > 0) {
		size_t n = chunk_size(path, size);
		int next = open_chunk(fd, path, n);

		if (next < 0)
			return next;
		(void)close(fd);
		fd = next;
		n += n < size; /* the slash */
		path += n;
		size -= n;
	}
	*fd_out = take_fd(&fd);
	return 0;
}

int target_find_parent(const struct target *target, const char *path,
		       struct target_parent *parent, const char **name_out,
		       struct error *err)
{
	const char *slash = strrchr(path, '/');
	size_t size = slash ? (size_t)(slash - path) : 0;
	int fd = -1;
	int r;

	*name_out = slash ? slash + 1 : path;
	if (parent->fd >= 0 && parent->path.size == size &&
	    (size == 0 || memcmp(parent->path.data, path, size) == 0))
		return 0;

	r = open_folder(target, path, size, &fd);
	if (r < 0)
		return error_set_errno(err, r, "folder of '%s'", path);
	target_parent_done(parent);
	parent->fd = fd;
	parent->path.data = malloc(size + 1);
	if (!parent->path.data) {
		target_parent_done(parent);
		return error_set(err, -ENOMEM, "out of memory");
	}
	memcpy(parent->path.data, path, size);
	parent->path.size = size;
	return 0;
}

int target_make_directory(const struct target *target, int parent_fd, const char *name,
			  bool *created_out, struct error *err)
{
	struct stat st;

	*created_out = mkdirat(parent_fd, name, 0700) == 0;
	if (*created_out)
		return 0;
	if (errno != EEXIST)
		return error_set_errno(err, -errno, "make folder '%s'", name);
	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		return own_folders_has(&target->own, &st)
			       ? error_set(err, -EINVAL,
					   "'%s' is the archive's own folder", name)
			       : 0;
	return error_set(err, -EEXIST, "'%s' is there and is no folder", name);
}

int target_make_special(int parent_fd, const char *name, const struct manifest *manifest,
			struct error *err)
{
	static const mode_t types[] = {
		[ENTRY_FIFO] = S_IFIFO,
		[ENTRY_SOCKET] = S_IFSOCK,
		[ENTRY_CHAR] = S_IFCHR,
		[ENTRY_BLOCK] = S_IFBLK,
	};
	autofree char *target = NULL;
	int r;

	if (manifest->type == ENTRY_SYMLINK) {
		target = strndup((const char *)manifest->target.data,
				 manifest->target.size);
		if (!target)
			return error_set(err, -ENOMEM, "out of memory");
		r = symlinkat(target, parent_fd, name);
	} else {
		r = mknodat(parent_fd, name, types[manifest->type] | 0600,
			    (dev_t)manifest->device);
	}
	if (r < 0)
		return error_set_errno(err, -errno, "make %s '%s'",
				       entry_type_name(manifest->type), name);
	return 0;
}

/* The value of @xattr, in @value_out (owned by the caller if long, else borrowed). */
static int xattr_value(const struct manifest_xattr *xattr, struct reader *reader,
		       const uint8_t **value_out, uint8_t **owned_out, struct error *err)
{
	autoptr(content) content = NULL;
	autofree uint8_t *value = NULL;
	int r;

	if (xattr->size <= MANIFEST_XATTR_INLINE_MAX) {
		*value_out = xattr->value.data;
		return 0;
	}
	value = malloc(xattr->size);
	if (!value)
		return error_set(err, -ENOMEM, "out of memory");
	r = content_open_xattr(xattr, &content, err);
	if (r == 0)
		r = content_read(content, reader, 0, value, xattr->size, err);
	if (r < 0)
		return r;
	*value_out = value;
	*owned_out = take_ptr(value);
	return 0;
}

static int set_xattr(const char *path, const struct manifest_xattr *xattr,
		     struct reader *reader, struct error *err)
{
	autofree uint8_t *owned = NULL;
	autofree char *name = NULL;
	const uint8_t *value = NULL;
	int r;

	name = strndup((const char *)xattr->name.data, xattr->name.size);
	if (!name)
		return error_set(err, -ENOMEM, "out of memory");
	r = xattr_value(xattr, reader, &value, &owned, err);
	if (r < 0)
		return error_prefix(err, r, "extended attribute '%s'", name);
	if (lsetxattr(path, name, value ? (const void *)value : "", xattr->size, 0) < 0)
		return error_set_errno(err, -errno, "extended attribute '%s'", name);
	return 0;
}

static int set_xattrs(int parent_fd, const char *name, const struct manifest *manifest,
		      struct reader *reader, struct error *err)
{
	char path[320];
	int first = 0;

	if (manifest->xattr_count == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent_fd, name);
	for (size_t i = 0; i < manifest->xattr_count; i++) {
		int r = set_xattr(path, &manifest->xattrs[i], reader, first ? NULL : err);

		if (r < 0 && !first)
			first = r;
	}
	return first;
}

static int set_owner_and_mode(const struct target *target, int parent_fd,
			      const char *name, const struct manifest *manifest,
			      struct error *err)
{
	int r = 0;

	if (target->privileged && fchownat(parent_fd, name, manifest->uid, manifest->gid,
					   AT_SYMLINK_NOFOLLOW) < 0)
		r = error_set_errno(err, -errno, "set owner");
	if (manifest->type != ENTRY_SYMLINK &&
	    fchmodat(parent_fd, name, (mode_t)manifest->mode, 0) < 0 && r == 0)
		r = error_set_errno(err, -errno, "set mode");
	return r;
}

int target_set_attributes(const struct target *target, int parent_fd, const char *name,
			  const struct manifest *manifest, struct reader *reader,
			  struct error *err)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = manifest->mtime.seconds,
		  .tv_nsec = manifest->mtime.nanoseconds },
	};
	int first = set_owner_and_mode(target, parent_fd, name, manifest, err);
	int r = set_xattrs(parent_fd, name, manifest, reader, first ? NULL : err);

	if (first == 0)
		first = r;
	if (utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 && first == 0)
		first = error_set_errno(err, -errno, "set time");
	return first;
}
