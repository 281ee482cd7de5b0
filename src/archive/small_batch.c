/* SPDX-License-Identifier: MIT */
/* The system calls for a small file are what it costs, so there are few: open, read, fstat,
 * listxattr, close. What the file was before is known from the walk; the fstat() behind
 * the read tells whether it is still the same file and was not touched in between.
 *
 * A worker writes nothing but the batch's own files and data. A file that fails says so and
 * does not disturb the others, so the task itself always succeeds.
 */
#include "archive/small_batch.h"

#include "archive/attributes.h"
#include "archive/folder.h"
#include "archive/reading.h"
#include "base/file.h"

#include <assert.h>
#include <errno.h>

void small_batch_init(struct small_batch *batch, uint8_t *data)
{
	*batch = (struct small_batch){ .data = data };
	task_group_init(&batch->group);
}

void small_batch_done(struct small_batch *batch)
{
	small_batch_wait(batch);
	small_batch_clear(batch);
	task_group_done(&batch->group);
}

static bool is_other_folder(const struct small_batch *batch,
			    const struct reading *reading)
{
	return batch->count == 0 ||
	       batch->files[batch->count - 1].reading->folder != reading->folder;
}

bool small_batch_fits(const struct small_batch *batch, const struct reading *reading)
{
	if (is_other_folder(batch, reading) && batch->folders == BATCH_FOLDERS_MAX)
		return false;
	return batch->count < BATCH_FILES_MAX &&
	       (uint64_t)reading->stat.st_size <= BATCH_SIZE - batch->used;
}

void small_batch_add(struct small_batch *batch, struct reading *reading)
{
	assert(small_batch_fits(batch, reading));
	batch->folders += is_other_folder(batch, reading);
	batch->files[batch->count++] = (struct batch_file){
		.reading = reading,
		.offset = batch->used,
	};
	batch->used += (uint32_t)reading->stat.st_size;
}

static int failed(struct batch_file *file, int r, const char *action)
{
	file->action = action;
	return r;
}

/* Everything between opening the file and looking at it again. */
static int read_open(struct batch_file *file, int fd, uint8_t *data)
{
	const struct stat *before = &file->reading->stat;
	size_t size = (size_t)before->st_size;
	int r;

	if (holes_likely(before)) {
		r = holes_read(fd, size, &file->holes);
		if (r < 0)
			return failed(file, r, "looking for holes");
	}
	r = pread_full(fd, data, size, 0, NULL);
	if (r < 0)
		return failed(file, r == -ENODATA ? -ESTALE : r, "reading it");
	hash_bytes(data, size, &file->hash);
	r = xattrs_read_fd(fd, &file->xattrs);
	if (r < 0)
		return failed(file, r, "reading its extended attributes");
	if (xattrs_have(&file->xattrs, XATTR_STUB))
		return failed(file, -EIO, "it is a stub that nobody guards");
	return 0;
}

static int read_file(struct batch_file *file, uint8_t *data)
{
	const struct reading *reading = file->reading;
	autoclose int fd = -1;
	int r;

	r = source_file_open(reading->folder->fd, reading->name, &fd);
	if (r < 0)
		return failed(file, r, "opening it");
	source_file_settle(&reading->stat);
	r = read_open(file, fd, data);
	if (r < 0)
		return r;
	if (fstat(fd, &file->stat) < 0)
		return failed(file, -errno, "looking at it");
	if (!attributes_untouched(&reading->stat, &file->stat))
		return failed(file, -ESTALE, "reading it");
	return 0;
}

static int run(struct task *task, unsigned worker, struct error *err)
{
	struct small_batch *batch =
		(struct small_batch *)((char *)task - offsetof(struct small_batch, task));

	(void)worker;
	(void)err;
	for (unsigned i = 0; i < batch->count; i++) {
		struct batch_file *file = &batch->files[i];

		file->r = read_file(file, batch->data + file->offset);
	}
	return 0;
}

void small_batch_submit(struct small_batch *batch, struct pool *pool)
{
	batch->task.run = run;
	pool_submit(pool, &batch->group, &batch->task);
}

void small_batch_wait(struct small_batch *batch)
{
	(void)task_group_wait(&batch->group, NULL); /* always succeeds */
}

void small_batch_clear(struct small_batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++) {
		reading_free(batch->files[i].reading);
		xattrs_done(&batch->files[i].xattrs);
		holes_done(&batch->files[i].holes);
	}
	batch->count = 0;
	batch->folders = 0;
	batch->used = 0;
}
