/* SPDX-License-Identifier: MIT */
/* One walk over the catalog in key order, which is an order that tar likes: folders before
 * what is in them. Files up to BUFFER_SIZE (all that are packed) are read whole before their
 * entry begins; larger ones are read frame by frame into it, verified like every read.
 *
 * Of an inode with several names the first that comes has the content, the others become
 * links to it, if they still have the same content: the manifests of one inode's names may
 * come from different commits.
 */
#include "archive/tar.h"

#include "archive/archive.h"
#include "archive/reader.h"
#include "archive/tar_stream.h"
#include "base/budget.h"
#include "base/error.h"
#include "catalog/listing.h"
#include "chunker/frame.h"
#include "chunker/segment.h"

#include <errno.h>
#include <linux/limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE (8u << 20) /* bytes */

/* The first name of an inode with several. */
struct first_name {
	char *link; /* owned: manifest.link, what the names have in common */
	char *path; /* owned: in the stream */
	uint64_t size;
	struct hash hash;
};

struct tar {
	struct archive *archive;
	const struct restore_options *options;
	struct restore_summary *summary;
	struct tar_stream *stream;
	struct reader *reader;
	struct buffer buffer;
	void *first_names; /* tsearch() tree of struct first_name */
	size_t strip;      /* bytes of key that are not part of paths */
};

static void report(const struct tar *tar, enum restore_problem problem, const char *path,
		   uint64_t offset, uint64_t size, const struct error *err)
{
	const struct restore_report *to = &tar->options->report;

	tar->summary->problems++;
	if (to->problem)
		to->problem(to->context, problem, path, offset, size, err);
}

static bool is_cancelled(const struct tar *tar)
{
	return tar->options->cancel && atomic_load(tar->options->cancel);
}

/* Names of one inode. */

static int compare_first_names(const void *a, const void *b)
{
	const struct first_name *x = a;
	const struct first_name *y = b;

	return strcmp(x->link, y->link);
}

static void first_name_free(void *p)
{
	struct first_name *name = p;

	if (!name)
		return;
	free(name->link);
	free(name->path);
	free(name);
}

static int remember_name(struct tar *tar, const struct manifest *manifest,
			 const char *path, struct error *err)
{
	struct first_name *name = calloc(1, sizeof(*name));

	if (name) {
		name->link = strdup((const char *)manifest->link.data);
		name->path = strdup(path);
		name->size = manifest->size;
		name->hash = manifest->hash;
		if (name->link && name->path &&
		    tsearch(name, &tar->first_names, compare_first_names))
			return 0;
	}
	first_name_free(name);
	return error_set(err, -ENOMEM, "no memory for hard links");
}

/* The entry that @path is to be a link to, in *target_out; NULL: none, and other names of
 * the inode may become links to this one. */
static int find_link(struct tar *tar, const struct manifest *manifest, const char *path,
		     const char **target_out, struct error *err)
{
	struct first_name key = { .link = (char *)manifest->link.data };
	struct first_name **found;

	*target_out = NULL;
	if (manifest->link.size == 0)
		return 0;
	found = tfind(&key, &tar->first_names, compare_first_names);
	if (!found)
		return remember_name(tar, manifest, path, err);
	if ((*found)->size == manifest->size &&
	    hash_equal(&(*found)->hash, &manifest->hash))
		*target_out = (*found)->path;
	return 0;
}

/* Content. */

/* Read the content's next bytes, at most to the end of a frame; a loss is reported. */
static int read_some(struct tar *tar, const struct content *content, const char *path,
		     uint64_t offset, uint8_t *data, size_t *size_out, struct error *err)
{
	uint64_t segment_end = (offset / SEGMENT_SIZE_MAX + 1) * SEGMENT_SIZE_MAX;
	uint64_t end =
		segment_end < content_size(content) ? segment_end : content_size(content);
	int r;

	if (is_cancelled(tar))
		return error_set(err, -EINTR, "interrupted");
	r = content_frame_end(content, tar->reader, offset, &end, err);
	if (r == 0)
		r = content_read(content, tar->reader, offset, data,
				 (size_t)(end - offset), err);
	*size_out = (size_t)(end - offset);
	if (r == -EBADMSG) {
		report(tar, RESTORE_LOST, path, offset, end - offset, err);
		tar->summary->lost_bytes += end - offset;
	} else if (r == -ENOMEDIUM) {
		report(tar, RESTORE_NOT_ATTACHED, path, 0, 0, err);
	}
	return r;
}

/* Read a whole file into the buffer. All its lost ranges are reported. */
static int read_whole(struct tar *tar, const struct content *content, const char *path,
		      struct error *err)
{
	int result = 0;
	size_t n = 0;

	for (uint64_t offset = 0; offset < content_size(content); offset += n) {
		int r = read_some(tar, content, path, offset, tar->buffer.data + offset,
				  &n, err);

		if (r < 0 && r != -EBADMSG)
			return r;
		if (r < 0)
			result = r;
	}
	return result;
}

static int copy_content(struct tar *tar, const struct content *content, const char *path,
			struct error *err)
{
	size_t n = 0;
	int r;

	for (uint64_t offset = 0; offset < content_size(content); offset += n) {
		r = read_some(tar, content, path, offset, tar->buffer.data, &n, err);
		if (r == 0)
			r = tar_stream_data(tar->stream, tar->buffer.data, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Begin an entry; what tar has no room for is a problem, but no reason to stop. */
static int begin_entry(struct tar *tar, const char *path, const struct manifest *manifest,
		       const char *hard_link, struct error *err)
{
	struct error lossy = { 0 };
	int r;

	r = tar_stream_entry(tar->stream, path, manifest, hard_link, &lossy);
	if (r == TAR_STREAM_LOSSY)
		report(tar, RESTORE_ATTRIBUTE, path, 0, 0, &lossy);
	else if (r < 0 && err)
		*err = lossy;
	return r < 0 ? r : 0;
}

static int write_content(struct tar *tar, const char *path,
			 const struct manifest *manifest, struct error *err)
{
	autoptr(content) content = NULL;
	bool small = manifest->size <= BUFFER_SIZE;
	int r;

	r = content_open(manifest, &content, err);
	if (r == 0 && small)
		r = read_whole(tar, content, path, err);
	if (r == 0)
		r = begin_entry(tar, path, manifest, NULL, err);
	if (r == 0 && small)
		r = tar_stream_data(tar->stream, tar->buffer.data, manifest->size, err);
	else if (r == 0)
		r = copy_content(tar, content, path, err);
	if (r == -EBADMSG)
		tar->summary->lost_files++;
	return r;
}

static int write_file(struct tar *tar, const char *path, const struct manifest *manifest,
		      struct error *err)
{
	const struct restore_report *to = &tar->options->report;
	const char *target;
	int r;

	r = find_link(tar, manifest, path, &target, err);
	if (r == 0)
		r = target ? begin_entry(tar, path, manifest, target, err)
			   : write_content(tar, path, manifest, err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", path);
	tar->summary->files++;
	if (!target)
		tar->summary->bytes += manifest->size;
	if (to->progress)
		to->progress(to->context, 1, target ? 0 : manifest->size);
	return 0;
}

static int write_other(struct tar *tar, const char *path, const struct manifest *manifest,
		       struct error *err)
{
	int r;

	if (manifest->type == ENTRY_SOCKET) {
		(void)error_set(err, -ENOTSUP, "tar has no sockets: it is left out");
		report(tar, RESTORE_FAILED, path, 0, 0, err);
		return 0;
	}
	r = begin_entry(tar, path, manifest, NULL, err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", path);
	if (manifest->type == ENTRY_DIRECTORY)
		tar->summary->directories++;
	else
		tar->summary->others++;
	return 0;
}

/* Entries. */

static int load_xattr(struct tar *tar, struct manifest_xattr *xattr, struct error *err)
{
	autoptr(content) content = NULL;
	autofree uint8_t *value = NULL;
	int r;

	r = content_open_xattr(xattr, &content, err);
	if (r < 0)
		return r;
	if (xattr->size > XATTR_SIZE_MAX)
		return error_set(err, -EBADMSG, "an xattr of impossible size");
	value = malloc(xattr->size);
	if (!value)
		return error_set(err, -ENOMEM, "out of memory");
	r = content_read(content, tar->reader, 0, value, xattr->size, err);
	if (r < 0)
		return error_prefix(err, r, "xattr '%s'", (const char *)xattr->name.data);
	xattr->value = (struct bytes){ .data = take_ptr(value), .size = xattr->size };
	return 0;
}

/* Fetch the long values. One that can't be had is a problem; the entry goes without it. */
static void load_xattrs(struct tar *tar, struct manifest *manifest, const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < manifest->xattr_count; i++) {
		struct manifest_xattr *xattr = &manifest->xattrs[i];
		struct error why = { 0 };
		int r = 0;

		if (xattr->size > MANIFEST_XATTR_INLINE_MAX)
			r = load_xattr(tar, xattr, &why);
		if (r < 0) {
			report(tar, RESTORE_ATTRIBUTE, path, 0, 0, &why);
			free(xattr->name.data);
			free(xattr->value.data);
			continue;
		}
		manifest->xattrs[kept++] = *xattr;
	}
	manifest->xattr_count = kept;
}

static int write_line(struct tar *tar, const uint8_t *key, size_t key_size,
		      const char *line, size_t line_size, struct error *err)
{
	struct manifest manifest = { 0 };
	autofree char *path = NULL;
	int r;

	if (is_cancelled(tar))
		return error_set(err, -EINTR, "interrupted");
	r = key_to_path(key + tar->strip, key_size - tar->strip, &path);
	if (r < 0)
		return error_set(err, r, "out of memory");
	r = manifest_decode(line, line_size, &manifest, err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", path);
	load_xattrs(tar, &manifest, path);
	r = manifest.type == ENTRY_FILE ? write_file(tar, path, &manifest, err)
					: write_other(tar, path, &manifest, err);
	manifest_done(&manifest);
	return r;
}

static int visit(void *context, const uint8_t *key, size_t key_size,
		 const struct version_row *row, struct error *err)
{
	return write_line(context, key, key_size, row->line, row->line_size, err);
}

/* Bytes of key before its last component. */
static size_t strip_of(const struct bytes *key)
{
	size_t strip = key->size;

	while (strip > 0 && key->data[strip - 1] != '\0')
		strip--;
	return strip;
}

static int write_all(struct tar *tar, struct error *err)
{
	const struct restore_options *options = tar->options;
	struct catalog *catalog =
		options->catalog ? options->catalog : archive_catalog(tar->archive);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < options->key_count; i++) {
		const struct bytes *key = &options->keys[i];

		tar->strip = strip_of(key);
		r = options->line ? write_line(tar, key->data, key->size, options->line,
					       options->line_size, err)
				  : catalog_walk(catalog, key->data, key->size,
						 options->at, visit, tar, err);
	}
	return r < 0 ? r : tar_stream_finish(tar->stream, err);
}

int tar_write(struct archive *archive, const struct restore_options *options, int fd,
	      struct restore_summary *summary_out, struct error *err)
{
	struct tar tar = { .archive = archive,
			   .options = options,
			   .summary = summary_out };
	int r;

	*summary_out = (struct restore_summary){ 0 };
	r = buffer_alloc(&tar.buffer, archive_budget(archive), BUFFER_SIZE, "a file",
			 err);
	if (r == 0)
		r = reader_new(archive_source(archive), NULL, &tar.reader, err);
	if (r == 0)
		r = tar_stream_new(fd, &tar.stream, err);
	if (r == 0)
		r = write_all(&tar, err);
	tar_stream_free(tar.stream);
	reader_free(tar.reader);
	buffer_free(&tar.buffer);
	tdestroy(tar.first_names, first_name_free);
	return r;
}
