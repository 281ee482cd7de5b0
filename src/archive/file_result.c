/* SPDX-License-Identifier: MIT */
/* A file changed while it was read if its identity, size, mtime or ctime are others
 * afterwards than they were before, or if it was shorter than its size. Then what was read
 * may be a mixture of two states that never existed, so nothing of it becomes a version.
 * After READING_ATTEMPTS_MAX attempts it is left out of this commit.
 */
#include "archive/file_result.h"

#include "archive/attributes.h"
#include "archive/change.h"
#include "archive/commit_monitor.h"
#include "archive/content_store.h"
#include "archive/frame_ring.h"
#include "archive/large_file.h"
#include "archive/link_table.h"
#include "archive/small_batch.h"
#include "base/error.h"
#include "chunker/packer.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

/* A file is done with: its change waits for its reading no more. */
static void settle(struct file_results *results, struct change *change, uint64_t size)
{
	assert(change->waiting > 0);
	change->waiting--;
	monitor_advance(results->monitor, 1, size);
}

static enum commit_problem problem_of(int r)
{
	if (r == -ESTALE || r == -ELOOP)
		return COMMIT_CHANGED;
	return r == -ENOENT ? COMMIT_VANISHED : COMMIT_UNREADABLE;
}

/* The file can't be read: tell, and leave it out. */
static void give_up(struct file_results *results, struct change *change, int r,
		    const struct error *err)
{
	autofree char *path = change_path(change);

	change->failed = true;
	if (change->link)
		change->link->failed = true;
	monitor_problem(results->monitor, problem_of(r), path ? path : "?", err);
	settle(results, change, 0);
}

/* Reading failed. A file that changed is read again; @reading is taken over. */
void file_result_failed(struct file_results *results, struct reading *reading, int r,
			const struct error *err)
{
	struct error text = { 0 };

	if (r == -ESTALE && reading->attempts < READING_ATTEMPTS_MAX) {
		reading->next = results->again;
		results->again = reading;
		return;
	}
	if (r == -ESTALE) {
		error_set(&text, r, "it changed while it was read, %u times",
			  reading->attempts);
		err = &text;
	}
	give_up(results, reading->change, r, err);
	reading_free(reading);
}

int file_result_small(struct file_results *results, struct batch_file *file,
		      const uint8_t *data, struct error *err)
{
	struct reading *reading = take_ptr(file->reading);
	struct change *change = reading->change;
	struct error text = { 0 };
	int r;

	if (file->r < 0) {
		error_set_errno(&text, file->r, "%s", file->action);
		file_result_failed(results, reading, file->r, &text);
		return 0;
	}
	reading_free(reading);
	r = content_store_attributes(results->store, change, &file->stat, &file->xattrs,
				     err);
	if (r < 0)
		return r;
	content_store_describe(results->store, change, &file->hash, &file->holes);
	r = content_store_put(results->store, change, data, err);
	if (r < 0)
		return r;
	settle(results, change, (uint64_t)file->stat.st_size);
	return 0;
}

/* All of @file was read: is it still the file that it was? Then its attributes are set. */
static int close_file(struct file_results *results, struct large_file *file,
		      struct error *err)
{
	struct change *change = file->change;
	struct xattrs xattrs = { 0 };
	struct stat stat;
	int r = 0;

	if (file->is_stream) {
		change->manifest.size = file->offset;
		return 0;
	}
	if (fstat(file->fd, &stat) < 0)
		r = error_set_errno(&file->err, -errno, "looking at it");
	else if (!attributes_untouched(&file->reading->stat, &stat))
		r = error_set(&file->err, -ESTALE, "it changed");
	else if ((r = xattrs_read_fd(file->fd, &xattrs)) < 0)
		error_set_errno(&file->err, r, "reading its extended attributes");
	else if (xattrs_have(&xattrs, XATTR_STUB))
		r = error_set(&file->err, -EIO, "it is a stub that nobody guards");
	if (r < 0) {
		xattrs_done(&xattrs);
		file->r = r;
		return 0;
	}
	r = content_store_attributes(results->store, change, &stat, &xattrs, err);
	xattrs_done(&xattrs);
	return r;
}

/* The hash of what is in @slots, the frames of the whole file. */
static void whole_hash(const struct large_file *file, const struct frame_slot *slots,
		       struct hash *hash_out)
{
	if (slots && slots->next)
		large_file_root(file, hash_out);
	else if (slots)
		hash_bytes(slots->data, slots->content_size, hash_out);
	else
		hash_bytes(NULL, 0, hash_out);
}

bool file_result_is_packed(const struct large_file *file)
{
	return file->offset <= PACK_FILE_MAX;
}

/* Store a file that is small enough for a pack; its piece has all of it. */
static int store_whole(struct file_results *results, struct piece *piece,
		       struct error *err)
{
	struct large_file *file = piece->file;
	struct change *change = file->change;
	struct hash hash;

	whole_hash(file, piece->slots, &hash);
	content_store_describe(results->store, change, &hash, &file->holes);
	if (file->offset > results->frame_size)
		return content_store_put_slots(results->store, change,
					       take_ptr(piece->slots), err);
	return content_store_put(results->store, change,
				 piece->slots ? piece->slots->data : NULL, err);
}

/* The last piece of @file is written. */
static int store_large(struct file_results *results, struct large_file *file,
		       struct error *err)
{
	struct hash hash;

	large_file_root(file, &hash);
	content_store_describe(results->store, file->change, &hash, &file->holes);
	content_store_count(results->store, file->new_size, file->known_size);
	return large_file_take_segments(file, results->session, err);
}

/* Everything that was asked for of the front piece's file has arrived. */
int file_result_large(struct file_results *results, struct piece *piece,
		      struct error *err)
{
	struct large_file *file = piece->file;
	int r;

	if (file->r == 0) {
		r = close_file(results, file, err);
		if (r < 0)
			return r;
	}
	if (file->r < 0 && file->is_stream)
		give_up(results, file->change, file->r, &file->err);
	else if (file->r < 0)
		file_result_failed(results, take_ptr(file->reading), file->r, &file->err);
	if (file->r < 0)
		return 0;
	r = file_result_is_packed(file) ? store_whole(results, piece, err)
					: store_large(results, file, err);
	if (r < 0)
		return r;
	settle(results, file->change, file_result_is_packed(file) ? file->offset : 0);
	return 0;
}
