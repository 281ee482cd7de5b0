/* SPDX-License-Identifier: MIT */
/* Life of a restored file:
 *
 *   open: a stub has no name; any other file is called ".blockframe-<hash of its path>.partial", the same name in a later run
 *   write: each range frame by frame, holes left out
 *   finish: complete -> attributes, rename to its name
 *           lost bytes -> attributes, rename to "<name>.blockframe-damaged"
 *           failed or cancelled -> unlinked
 */
#include "archive/restore_file.h"

#include "archive/reader.h"
#include "base/error.h"
#include "base/file.h"
#include "chunker/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LIMIT 255 /* bytes of a file name */
#define DAMAGED_SUFFIX ".blockframe-damaged"

static bool same_file(const struct stat *st, const struct manifest *manifest)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == manifest->size &&
	       st->st_mtim.tv_sec == manifest->mtime.seconds &&
	       st->st_mtim.tv_nsec == manifest->mtime.nanoseconds;
}

int restore_file_look(int parent_fd, const char *name, const struct manifest *manifest,
		      bool resume, bool force)
{
	struct stat st;

	if (fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (resume && manifest->type == ENTRY_FILE && same_file(&st, manifest))
		return 1;
	return force ? 0 : -EEXIST;
}

static void name_temporary(struct restore_file *file)
{
	char hex[HASH_HEX_SIZE];
	struct hash hash;

	hash_bytes(file->path, strlen(file->path), &hash);
	hash_to_hex(&hash, hex);
	(void)snprintf(file->temporary, sizeof(file->temporary),
		       ".blockframe-%.24s.partial", hex);
}

static int make_temporary(struct restore_file *file, struct error *err)
{
	int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;

	file->fd = openat(file->parent_fd, file->temporary, flags, 0600);
	if (file->fd < 0 && errno == EEXIST) {
		/* Left behind by a run that was killed. */
		(void)unlinkat(file->parent_fd, file->temporary, 0);
		file->fd = openat(file->parent_fd, file->temporary, flags, 0600);
	}
	if (file->fd < 0)
		return error_set_errno(err, -errno, "make temporary file");
	return 0;
}

static int make_unnamed(struct restore_file *file, uint64_t size, struct error *err)
{
	file->fd = openat(file->parent_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return error_set_errno(err, -errno, "make a file without a name");
	if (ftruncate(file->fd, (off_t)size) < 0)
		return error_set_errno(err, -errno, "set size");
	return 0;
}

int restore_file_link(struct restore_file *file, struct error *err)
{
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	r = linkat(AT_FDCWD, path, file->parent_fd, file->temporary, AT_SYMLINK_FOLLOW);
	if (r < 0 && errno == EEXIST) {
		/* Left behind by a run that was killed. */
		(void)unlinkat(file->parent_fd, file->temporary, 0);
		r = linkat(AT_FDCWD, path, file->parent_fd, file->temporary,
			   AT_SYMLINK_FOLLOW);
	}
	return r < 0 ? error_set_errno(err, -errno, "link") : 0;
}

static int open_file(const struct target *target, struct target_parent *parent,
		     struct manifest *manifest, const char *path, bool stub,
		     struct restore_file **file_out, struct error *err)
{
	autoptr(restore_file) file = calloc(1, sizeof(*file));
	const char *name;
	int r;

	if (!file)
		return error_set(err, -ENOMEM, "out of memory");
	file->fd = -1;
	file->parent_fd = -1;
	file->path = strdup(path);
	if (!file->path)
		return error_set(err, -ENOMEM, "out of memory");
	r = target_find_parent(target, path, parent, &name, err);
	if (r == 0)
		r = content_open(manifest, &file->content, err);
	if (r < 0)
		return r;
	file->parent_fd = fcntl(parent->fd, F_DUPFD_CLOEXEC, 0);
	if (file->parent_fd < 0)
		return error_set_errno(err, -errno, "folder of '%s'", path);
	name_temporary(file);
	file->stub = stub;
	r = stub ? make_unnamed(file, manifest->size, err) : make_temporary(file, err);
	if (r < 0)
		return r;
	file->manifest = *manifest;
	*manifest = (struct manifest){ 0 };
	*file_out = take_ptr(file);
	return 0;
}

int restore_file_open(const struct target *target, struct target_parent *parent,
		      struct manifest *manifest, const char *path,
		      struct restore_file **file_out, struct error *err)
{
	return open_file(target, parent, manifest, path, false, file_out, err);
}

int restore_file_open_stub(const struct target *target, struct target_parent *parent,
			   struct manifest *manifest, const char *path,
			   struct restore_file **file_out, struct error *err)
{
	return open_file(target, parent, manifest, path, true, file_out, err);
}

static void set_failed(struct restore_file *file, enum restore_problem problem,
		       const struct error *err, const struct restore_sink *sink)
{
	if (!atomic_exchange(&file->failed, true))
		sink->problem(sink->context, problem, file->path, 0, 0, err);
}

/* Write @size bytes of content at @offset, except what lies in holes. */
static int write_around_holes(const struct restore_file *file, const uint8_t *data,
			      uint64_t offset, uint64_t size)
{
	const struct manifest *manifest = &file->manifest;
	uint64_t end = offset + size;
	uint64_t position = offset;
	int r = 0;

	for (size_t i = 0; i < manifest->hole_count && position < end && r == 0; i++) {
		const struct manifest_hole *hole = &manifest->holes[i];
		uint64_t hole_end = hole->offset + hole->size;

		if (hole_end <= position)
			continue;
		if (hole->offset >= end)
			break;
		if (hole->offset > position)
			r = pwrite_full(file->fd, data + (position - offset),
					(size_t)(hole->offset - position), position);
		position = hole_end;
	}
	if (r == 0 && position < end)
		r = pwrite_full(file->fd, data + (position - offset),
				(size_t)(end - position), position);
	return r;
}

static void report_lost(struct restore_file *file, uint64_t offset, uint64_t size,
			const struct error *err, const struct restore_sink *sink)
{
	atomic_fetch_add(&file->lost, size);
	sink->problem(sink->context, RESTORE_LOST, file->path, offset, size, err);
}

/* How far a loss at @offset reaches when not even the segment's table can be read. */
static uint64_t piece_end(const struct restore_file *file, uint64_t offset)
{
	uint64_t end = (offset / SEGMENT_SIZE_MAX + 1) * SEGMENT_SIZE_MAX;

	return end < file->manifest.size ? end : file->manifest.size;
}

/* One step: at most to the end of a frame. Returns its size, or 0 if the file failed. */
static uint64_t write_some(struct restore_file *file, struct reader *reader,
			   uint8_t *buffer, uint64_t offset, uint64_t end,
			   const struct restore_sink *sink)
{
	struct error err = { 0 };
	uint64_t stop = piece_end(file, offset);
	int r = content_frame_end(file->content, reader, offset, &stop, &err);

	if (stop > end)
		stop = end;
	if (r == 0)
		r = content_read(file->content, reader, offset, buffer,
				 (size_t)(stop - offset), &err);
	if (r == -EBADMSG) {
		report_lost(file, offset, stop - offset, &err, sink);
		return stop - offset;
	}
	if (r == 0) {
		r = write_around_holes(file, buffer, offset, stop - offset);
		if (r < 0)
			(void)error_set_errno(&err, r, "write");
	}
	if (r < 0) {
		set_failed(file, r == -ENOMEDIUM ? RESTORE_NOT_ATTACHED : RESTORE_FAILED,
			   &err, sink);
		return 0;
	}
	return stop - offset;
}

void restore_file_write(struct restore_file *file, struct reader *reader, uint8_t *buffer,
			uint64_t offset, uint64_t size, const struct restore_sink *sink)
{
	uint64_t end = offset + size;

	while (offset < end && !atomic_load(&file->failed)) {
		uint64_t n;

		if (sink->cancel && atomic_load(sink->cancel)) {
			atomic_store(&file->failed, true);
			return;
		}
		n = write_some(file, reader, buffer, offset, end, sink);
		if (n == 0)
			return;
		offset += n;
	}
}

/* "<name>.blockframe-damaged", the name cut short if it would be too long. */
static void name_damaged(const char *name, char out[NAME_LIMIT + 1])
{
	size_t keep = NAME_LIMIT - strlen(DAMAGED_SUFFIX);

	(void)snprintf(out, NAME_LIMIT + 1, "%.*s%s", (int)keep, name, DAMAGED_SUFFIX);
}

static int arrive(const struct target *target, struct restore_file *file,
		  const char *name, struct reader *reader,
		  const struct restore_sink *sink, struct error *err)
{
	int r;

	/* Only a hole or a loss at the end leaves the file short. Of a stub, which would come
	 * back by it, the size is set. */
	if (!file->stub &&
	    (file->manifest.hole_count > 0 || atomic_load(&file->lost) > 0) &&
	    ftruncate(file->fd, (off_t)file->manifest.size) < 0)
		return error_set_errno(err, -errno, "set size");
	r = target_set_attributes(target, file->parent_fd, file->temporary,
				  &file->manifest, reader, err);
	if (r < 0)
		sink->problem(sink->context, RESTORE_ATTRIBUTE, file->path, 0, 0, err);
	if (renameat(file->parent_fd, file->temporary, file->parent_fd, name) < 0)
		return error_set_errno(err, -errno, "rename");
	return 0;
}

bool restore_file_finish(const struct target *target, struct restore_file *file,
			 struct reader *reader, const struct restore_sink *sink)
{
	const char *slash = strrchr(file->path, '/');
	const char *name = slash ? slash + 1 : file->path;
	bool lost = atomic_load(&file->lost) > 0;
	char damaged[NAME_LIMIT + 1];
	struct error err = { 0 };

	if (!atomic_load(&file->failed)) {
		name_damaged(name, damaged);
		if (arrive(target, file, lost ? damaged : name, reader, sink, &err) == 0)
			return !lost;
		set_failed(file, RESTORE_FAILED, &err, sink);
	}
	(void)unlinkat(file->parent_fd, file->temporary, 0);
	return false;
}

void restore_file_free(struct restore_file *file)
{
	if (!file)
		return;
	cleanup_close_p(&file->fd);
	cleanup_close_p(&file->parent_fd);
	content_free(file->content);
	manifest_done(&file->manifest);
	free(file->path);
	free(file);
}
