/* SPDX-License-Identifier: MIT */
#include "mount/file.h"

#include "archive/open_file.h"
#include "archive/read_pieces.h"
#include "base/log.h"
#include "base/log_subject.h"
#include "mount/entry.h"
#include "mount/file_system.h"
#include "mount/hole_map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

struct file {
	struct backing *backing; /* owned use */
	struct open_file *content;
	char *path; /* owned; for the log */
	struct hole_map holes;
	atomic_bool complained;
};

static int open_content(struct file *file, const struct manifest *manifest,
			struct error *err)
{
	int r;

	r = open_file_new(backing_service(file->backing), manifest, &file->content, err);
	if (r == 0)
		r = hole_map_copy(manifest, &file->holes);
	if (r == 0)
		r = key_to_path(manifest->key.data, manifest->key.size, &file->path);
	return r;
}

int file_open(struct request *request, const struct inode *inode, struct file **file_out)
{
	autoptr(file) file = NULL;
	autoentry entry = { 0 };
	int r;

	r = entry_load(request, inode, &entry);
	if (r < 0)
		return r;
	if (entry_is_folder(&entry))
		return -EISDIR;
	if (entry.manifest.type != ENTRY_FILE)
		return -EINVAL;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->backing = backing_ref(request->backing);
	r = open_content(file, &entry.manifest, &request->err);
	if (r < 0)
		return r;
	*file_out = take_ptr(file);
	return 0;
}

void file_free(struct file *file)
{
	if (!file)
		return;
	open_file_free(file->content);
	hole_map_done(&file->holes);
	free(file->path);
	backing_unref(file->backing);
	free(file);
}

struct backing *file_backing(const struct file *file)
{
	return file->backing;
}

/* A short answer would be taken for the end of the file, and the rest for zeroes. The error
 * instead makes the kernel ask again, page by page, which tells what is lost from what is
 * not. So it is logged only where the first byte asked for is lost. */
int file_read(struct file *file, uint64_t offset, struct read_pieces *pieces, size_t size)
{
	uint64_t end = open_file_size(file->content);
	uint64_t want = offset < end ? end - offset : 0;
	struct error err = { 0 };
	int r;

	log_subject_scope(file->path);
	if (want > size)
		want = size;
	r = open_file_lend(file->content, offset, pieces, (size_t)want, &err);
	if (r == -EINTR)
		return r;
	if (r < 0 && !atomic_exchange(&file->complained, true))
		log_error("'%s': byte %" PRIu64 ": %s", file->path, offset, err.text);
	if (r < 0)
		return r == -ENOMEM ? r : -EIO;
	return pieces->size < want ? -EIO : 0;
}

int file_seek(const struct file *file, uint64_t offset, int whence, uint64_t *offset_out)
{
	return hole_map_seek(&file->holes, offset, whence, offset_out);
}
