/* SPDX-License-Identifier: MIT */
/* libarchive's pax writer: ustar where that is enough, and extended headers for times in
 * nanoseconds, long names, big sizes, xattrs (SCHILY.xattr), ACLs (SCHILY.acl) and holes
 * (GNU.sparse 1.0). GNU tar and bsdtar read all of that. By default libarchive would write
 * xattrs in a second form, too, which GNU tar warns of for each.
 *
 * Names are bytes. libarchive wants to know their character set: with a UTF-8 locale it
 * passes UTF-8 through, and warns of other names but keeps their bytes and marks them as
 * binary (hdrcharset). So one is set for the thread while a call into it lasts, and the
 * warning, of which there is no other kind for what is written here, is no problem.
 *
 * Times before 1970 are written by libarchive as if the fraction counted away from zero, and
 * so they are given to it: -2 s and 0.3 s as -1 s and 0.7 s, which gives "-1.7". Only within
 * the last second before 1970, where the sign would be that of a zero, the fraction is lost.
 *
 * ACLs are given to it as such; one that can't be parsed stays an xattr.
 */
#include "archive/tar_stream.h"

#include "archive/acl.h"
#include "base/error.h"
#include "base/file.h"
#include "base/timestamp.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK_SIZE 512u /* bytes: tar's unit */

struct tar_stream {
	int fd;                   /* borrowed */
	bool cut;                 /* nothing is written any more */
	int failed;               /* why writing failed */
	uint8_t held[BLOCK_SIZE]; /* the last bytes given, not yet written */
	size_t held_size;
	struct archive *writer;
	struct archive_entry *entry;
	locale_t locale; /* with UTF-8; 0: there is none */
};

/* The locale that was in force; give it back with uselocale(). */
static locale_t enter_locale(const struct tar_stream *stream)
{
	return stream->locale ? uselocale(stream->locale) : (locale_t)0;
}

static void leave_locale(locale_t before)
{
	if (before)
		(void)uselocale(before);
}

static int writer_error(const struct tar_stream *stream, struct error *err)
{
	int code = archive_errno(stream->writer);
	const char *text = archive_error_string(stream->writer);

	return error_set(err, code > 0 ? -code : -EIO, "tar stream: %s",
			 text ? text : "can't be written");
}

static int check_output(const struct tar_stream *stream, struct error *err)
{
	return stream->failed < 0 ? error_set_errno(err, stream->failed, "tar stream")
				  : 0;
}

/* libarchive's output. It is not told that writing failed, since it never frees all of a
 * writer that did; check_output() tells the caller. The last block is held back, so that a stream that is given up can
 * end in the middle of one without saying anything that is not true. */
static la_ssize_t put(struct archive *writer, void *context, const void *data,
		      size_t size)
{
	struct tar_stream *stream = context;
	const uint8_t *bytes = data;
	int r = 0;

	(void)writer;
	if (stream->cut)
		return (la_ssize_t)size;
	assert(size >= BLOCK_SIZE); /* it writes whole blocks only */
	r = write_full(stream->fd, stream->held, stream->held_size);
	if (r == 0)
		r = write_full(stream->fd, bytes, size - BLOCK_SIZE);
	if (r < 0) {
		stream->failed = r;
		stream->cut = true;
		return (la_ssize_t)size;
	}
	memcpy(stream->held, bytes + size - BLOCK_SIZE, BLOCK_SIZE);
	stream->held_size = BLOCK_SIZE;
	return (la_ssize_t)size;
}

int tar_stream_new(int fd, struct tar_stream **stream_out, struct error *err)
{
	autoptr(tar_stream) stream = calloc(1, sizeof(*stream));

	if (!stream)
		return error_set(err, -ENOMEM, "out of memory");
	stream->fd = fd;
	stream->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	stream->writer = archive_write_new();
	stream->entry = archive_entry_new();
	if (!stream->writer || !stream->entry)
		return error_set(err, -ENOMEM, "out of memory");
	if (archive_write_set_format_pax(stream->writer) != ARCHIVE_OK ||
	    archive_write_set_format_option(stream->writer, "pax", "xattrheader",
					    "SCHILY") != ARCHIVE_OK ||
	    archive_write_open(stream->writer, stream, NULL, put, NULL) != ARCHIVE_OK)
		return writer_error(stream, err);
	*stream_out = take_ptr(stream);
	return 0;
}

static mode_t type_bits(enum entry_type type)
{
	static const mode_t bits[] = {
		[ENTRY_FILE] = S_IFREG,    [ENTRY_DIRECTORY] = S_IFDIR,
		[ENTRY_SYMLINK] = S_IFLNK, [ENTRY_FIFO] = S_IFIFO,
		[ENTRY_SOCKET] = S_IFSOCK, [ENTRY_CHAR] = S_IFCHR,
		[ENTRY_BLOCK] = S_IFBLK,
	};

	return bits[type];
}

/* The data between the holes; content without holes is not sparse. */
static void set_holes(struct archive_entry *entry, const struct manifest *manifest)
{
	uint64_t position = 0;

	for (size_t i = 0; i < manifest->hole_count; i++) {
		const struct manifest_hole *hole = &manifest->holes[i];

		if (hole->offset > position)
			archive_entry_sparse_add_entry(
				entry, (la_int64_t)position,
				(la_int64_t)(hole->offset - position));
		position = hole->offset + hole->size;
	}
	if (manifest->hole_count > 0)
		archive_entry_sparse_add_entry(entry, (la_int64_t)position,
					       (la_int64_t)(manifest->size - position));
}

static int add_acl(struct archive_entry *entry, int type,
		   const struct manifest_xattr *xattr)
{
	autofree struct acl_entry *entries = NULL;
	size_t count;
	int r;

	r = acl_decode(xattr->value.data, xattr->value.size, &entries, &count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		static const struct {
			enum acl_tag ours;
			int theirs;
		} tags[] = {
			{ ACL_TAG_OWNER, ARCHIVE_ENTRY_ACL_USER_OBJ },
			{ ACL_TAG_USER, ARCHIVE_ENTRY_ACL_USER },
			{ ACL_TAG_OWNING_GROUP, ARCHIVE_ENTRY_ACL_GROUP_OBJ },
			{ ACL_TAG_GROUP, ARCHIVE_ENTRY_ACL_GROUP },
			{ ACL_TAG_MASK, ARCHIVE_ENTRY_ACL_MASK },
			{ ACL_TAG_OTHER, ARCHIVE_ENTRY_ACL_OTHER },
		};
		size_t tag = 0;

		while (tags[tag].ours != entries[i].tag)
			tag++;
		/* Their permission bits are those of the kernel. */
		(void)archive_entry_acl_add_entry(
			entry, type, (int)entries[i].permissions, tags[tag].theirs,
			(int)entries[i].id, NULL);
	}
	return r;
}

static bool is_named(const struct manifest_xattr *xattr, const char *name)
{
	return xattr->name.size == strlen(name) &&
	       memcmp(xattr->name.data, name, xattr->name.size) == 0;
}

static void set_xattr(struct archive_entry *entry, const struct manifest_xattr *xattr)
{
	if (is_named(xattr, ACL_XATTR_ACCESS) &&
	    add_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, xattr) == 0)
		return;
	if (is_named(xattr, ACL_XATTR_DEFAULT) &&
	    add_acl(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, xattr) == 0)
		return;
	archive_entry_xattr_add_entry(entry, (const char *)xattr->name.data,
				      xattr->value.data, xattr->value.size);
}

static bool fits_time(const struct entry_time *time)
{
	return time->seconds != -1 || time->nanoseconds == 0;
}

static void set_mtime(struct archive_entry *entry, const struct entry_time *time)
{
	int64_t seconds = time->seconds;
	long nanoseconds = time->nanoseconds;

	if (!fits_time(time)) {
		nanoseconds = 0;
	} else if (seconds < 0 && nanoseconds > 0) {
		seconds++;
		nanoseconds = (long)NS_PER_SECOND - nanoseconds;
	}
	archive_entry_set_mtime(entry, (time_t)seconds, nanoseconds);
}

static void set_attributes(struct archive_entry *entry, const struct manifest *manifest)
{
	archive_entry_set_mode(entry, type_bits(manifest->type) | manifest->mode);
	archive_entry_set_uid(entry, manifest->uid);
	archive_entry_set_gid(entry, manifest->gid);
	if (manifest->user.size > 0)
		archive_entry_set_uname(entry, (const char *)manifest->user.data);
	if (manifest->group.size > 0)
		archive_entry_set_gname(entry, (const char *)manifest->group.data);
	set_mtime(entry, &manifest->mtime);
	if (manifest->type == ENTRY_CHAR || manifest->type == ENTRY_BLOCK)
		archive_entry_set_rdev(entry, (dev_t)manifest->device);
	for (size_t i = 0; i < manifest->xattr_count; i++)
		set_xattr(entry, &manifest->xattrs[i]);
}

int tar_stream_entry(struct tar_stream *stream, const char *path,
		     const struct manifest *manifest, const char *hard_link,
		     struct error *err)
{
	locale_t before;
	int r;

	if (manifest->type == ENTRY_SOCKET)
		return error_set(err, -EINVAL, "tar has no sockets");
	before = enter_locale(stream);
	archive_entry_clear(stream->entry);
	archive_entry_set_pathname(stream->entry, path);
	set_attributes(stream->entry, manifest);
	if (manifest->type == ENTRY_SYMLINK)
		archive_entry_set_symlink(stream->entry,
					  (const char *)manifest->target.data);
	if (hard_link) {
		archive_entry_set_hardlink(stream->entry, hard_link);
		archive_entry_unset_size(stream->entry);
	} else {
		archive_entry_set_size(stream->entry, (la_int64_t)manifest->size);
		set_holes(stream->entry, manifest);
	}
	r = archive_write_header(stream->writer, stream->entry);
	leave_locale(before);
	if (r < ARCHIVE_WARN)
		return writer_error(stream, err);
	if (check_output(stream, err) < 0)
		return stream->failed;
	if (fits_time(&manifest->mtime))
		return 0;
	(void)error_set(err, -ERANGE, "tar has no fractions of the second before 1970");
	return TAR_STREAM_LOSSY;
}

int tar_stream_data(struct tar_stream *stream, const void *data, size_t size,
		    struct error *err)
{
	const char *from = data;

	while (size > 0) {
		la_ssize_t n = archive_write_data(stream->writer, from, size);

		if (n < 0)
			return writer_error(stream, err);
		if (n == 0)
			return error_set(err, -EINVAL, "tar stream: entry is full");
		if (stream->failed < 0)
			break;
		from += n;
		size -= (size_t)n;
	}
	return check_output(stream, err);
}

int tar_stream_finish(struct tar_stream *stream, struct error *err)
{
	int r;

	if (archive_write_close(stream->writer) != ARCHIVE_OK)
		return writer_error(stream, err);
	if (check_output(stream, err) < 0)
		return stream->failed;
	r = write_full(stream->fd, stream->held, stream->held_size);
	stream->held_size = 0;
	return r < 0 ? error_set_errno(err, r, "tar stream") : 0;
}

void tar_stream_free(struct tar_stream *stream)
{
	if (!stream)
		return;
	/* Closing a writer pads and writes the end, which is not to come out. */
	stream->cut = true;
	(void)write_full(stream->fd, stream->held,
			 stream->held_size / 2); /* best effort */
	if (stream->writer)
		(void)archive_write_free(stream->writer);
	archive_entry_free(stream->entry);
	if (stream->locale)
		freelocale(stream->locale);
	free(stream);
}
