/* SPDX-License-Identifier: MIT */
/* A batch is the manifests' text of up to 64 files and their paths; the worker decodes them,
 * so that the walking thread does as little as possible for each file. A large file is opened
 * by the walking thread and shared by its ranges; the one that finishes last gives it its
 * name. Tasks never fail: what goes wrong is reported and counted.
 */
#include "archive/restore_work.h"

#include "archive/archive.h"
#include "archive/frame_cache.h"
#include "archive/reader.h"
#include "archive/restore_stubs.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/listing.h"
#include "chunker/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_FILES 64u
#define BATCH_SIZE (2u << 20)     /* bytes of content */
#define RANGE_SIZE (8u << 20)     /* bytes of a large file for one task */
#define LARGE_FILE_MIN (8u << 20) /* bytes: larger files are written by several workers */
#define READER_FRAMES 1u          /* decoded frames that are kept for each worker */

struct batch_entry {
	uint32_t line_size;
	uint32_t path_size; /* NUL included */
};

struct restore_batch {
	struct task task;
	struct restore_work *work;
	struct text entries; /* struct batch_entry, line, path with NUL, and so on */
	unsigned count;
	uint64_t size; /* bytes of content */
	bool stubs;
};

struct range {
	struct task task;
	struct restore_work *work;
	struct restore_file *file; /* shared by the file's ranges; freed by the last */
	uint64_t offset;
	uint64_t size;
};

static void on_problem(void *context, enum restore_problem problem, const char *path,
		       uint64_t offset, uint64_t size, const struct error *err)
{
	struct restore_work *work = context;
	const struct restore_report *report = &work->options->report;

	mutex_scope(&work->mutex);
	work->summary.problems++;
	if (problem == RESTORE_LOST)
		work->summary.lost_bytes += size;
	if (report->problem)
		report->problem(report->context, problem, path, offset, size, err);
}

void restore_work_fail(struct restore_work *work, const char *path, int r,
		       const struct error *err)
{
	on_problem(work, r == -ENOMEDIUM ? RESTORE_NOT_ATTACHED : RESTORE_FAILED, path, 0,
		   0, err);
}

void restore_work_count(struct restore_work *work, uint64_t files, uint64_t bytes)
{
	const struct restore_report *report = &work->options->report;

	mutex_scope(&work->mutex);
	work->summary.files += files;
	work->summary.bytes += bytes;
	if (report->progress)
		report->progress(report->context, files, bytes);
}

static void count_lost(struct restore_work *work)
{
	mutex_scope(&work->mutex);
	work->summary.lost_files++;
}

static void count_kept(struct restore_work *work)
{
	mutex_scope(&work->mutex);
	work->summary.kept++;
}

bool restore_work_cancelled(struct restore_work *work)
{
	if (work->options->cancel && atomic_load(work->options->cancel))
		return true;
	mutex_scope(&work->mutex);
	return work->stopped < 0;
}

void restore_work_stop(struct restore_work *work, int r, const struct error *err)
{
	mutex_scope(&work->mutex);
	if (work->stopped < 0)
		return;
	work->stopped = r;
	work->stop = *err;
}

void restore_work_count_stub(struct restore_work *work)
{
	restore_work_count(work, 1, 0);
	mutex_scope(&work->mutex);
	work->summary.stubs++;
}

static void finish_file(struct restore_work *work, struct restore_file *file,
			struct reader *reader)
{
	bool complete = restore_file_finish(&work->target, file, reader, &work->sink);

	if (complete)
		restore_work_count(
			work, 1,
			file->manifest.size <= LARGE_FILE_MIN ? file->manifest.size : 0);
	else if (atomic_load(&file->lost) > 0)
		count_lost(work);
}

bool restore_work_look(struct restore_work *work, struct restore_worker *worker,
		       const struct manifest *manifest, const char *path)
{
	struct error err = { 0 };
	const char *name;
	int r;

	r = target_find_parent(&work->target, path, &worker->parent, &name, &err);
	if (r == 0)
		r = restore_file_look(worker->parent.fd, name, manifest,
				      work->options->resume, work->options->force);
	if (r == 1) {
		count_kept(work);
		return false;
	}
	if (r == -EEXIST) {
		(void)error_set(&err, r, "is there already");
		on_problem(work, RESTORE_EXISTS, path, 0, 0, &err);
	} else if (r < 0) {
		restore_work_fail(work, path, r, &err);
	}
	return r == 0;
}

static void restore_small(struct restore_work *work, struct restore_worker *worker,
			  const char *line, size_t line_size, const char *path)
{
	autoptr(restore_file) file = NULL;
	struct manifest manifest = { 0 };
	struct error err = { 0 };
	int r;

	r = manifest_decode(line, line_size, &manifest, &err);
	if (r == 0 && restore_work_look(work, worker, &manifest, path))
		r = restore_file_open(&work->target, &worker->parent, &manifest, path,
				      &file, &err);
	if (r < 0)
		restore_work_fail(work, path, r, &err);
	manifest_done(&manifest);
	if (!file)
		return;
	restore_file_write(file, worker->reader, worker->buffer, 0, file->manifest.size,
			   &work->sink);
	finish_file(work, file, worker->reader);
}

static void batch_free(struct restore_batch *batch)
{
	if (!batch)
		return;
	text_done(&batch->entries);
	free(batch);
}

static int run_batch(struct task *task, unsigned number, struct error *err)
{
	struct restore_batch *batch = (struct restore_batch *)(void *)task;
	struct restore_work *work = batch->work;
	struct restore_worker *worker = &work->workers[number];
	struct restore_stubs stubs = { .work = work, .worker = worker };
	const char *p = batch->entries.data;

	(void)err;
	for (unsigned i = 0; i < batch->count && !restore_work_cancelled(work); i++) {
		struct batch_entry entry;

		memcpy(&entry, p, sizeof(entry));
		p += sizeof(entry);
		if (batch->stubs)
			restore_stubs_add(&stubs, p, entry.line_size,
					  p + entry.line_size);
		else
			restore_small(work, worker, p, entry.line_size,
				      p + entry.line_size);
		p += entry.line_size + entry.path_size;
	}
	restore_stubs_finish(&stubs);
	batch_free(batch);
	return 0;
}

static void submit(struct restore_work *work, struct task *task, task_fn *run)
{
	struct pool *pool = archive_pool(work->archive);

	task->run = run;
	task_group_wait_at_most(&work->group, 2 * pool_threads(pool));
	pool_submit(pool, &work->group, task);
}

static void flush_batch(struct restore_work *work, struct restore_batch **batch)
{
	if (*batch)
		submit(work, &(*batch)->task, run_batch);
	*batch = NULL;
}

/* Add to @place, one of the two batches. */
static int add_to_batch(struct restore_work *work, struct restore_batch **place,
			const struct version_row *row, const char *path,
			struct error *err)
{
	bool stubs = place == &work->stub_batch;
	struct batch_entry entry = {
		.line_size = (uint32_t)row->line_size,
		.path_size = (uint32_t)strlen(path) + 1,
	};
	struct restore_batch *batch = *place;

	if (!batch) {
		batch = calloc(1, sizeof(*batch));
		if (!batch)
			return error_set(err, -ENOMEM, "out of memory");
		batch->work = work;
		batch->stubs = stubs;
		*place = batch;
	}
	if (text_append_bytes(&batch->entries, &entry, sizeof(entry)) < 0 ||
	    text_append_bytes(&batch->entries, row->line, row->line_size) < 0 ||
	    text_append_bytes(&batch->entries, path, entry.path_size) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	batch->count++;
	batch->size += stubs ? 0 : row->size;
	if (batch->count == (stubs ? RESTORE_STUBS_MAX : BATCH_FILES) ||
	    batch->size >= BATCH_SIZE)
		flush_batch(work, place);
	return 0;
}

static int run_range(struct task *task, unsigned number, struct error *err)
{
	struct range *range = (struct range *)(void *)task;
	struct restore_work *work = range->work;
	struct restore_worker *worker = &work->workers[number];
	struct restore_file *file = range->file;

	(void)err;
	restore_file_write(file, worker->reader, worker->buffer, range->offset,
			   range->size, &work->sink);
	restore_work_count(work, 0, range->size);
	if (atomic_fetch_sub(&file->pending, 1) == 1) {
		finish_file(work, file, worker->reader);
		restore_file_free(file);
	}
	free(range);
	return 0;
}

/* Give the file to the workers, range by range. Every range that was counted in is run. */
static int submit_ranges(struct restore_work *work, struct restore_file *file,
			 struct error *err)
{
	uint64_t size = file->manifest.size;
	uint64_t offset = 0;

	atomic_store(&file->pending, (unsigned)((size + RANGE_SIZE - 1) / RANGE_SIZE));
	while (offset < size) {
		struct range *range = calloc(1, sizeof(*range));
		uint64_t left = size - offset;

		if (!range) {
			/* The ranges that never ran keep the file from finishing: with
			 * memory gone the whole restore ends here. */
			atomic_store(&file->failed, true);
			return error_set(err, -ENOMEM, "out of memory");
		}
		range->work = work;
		range->file = file;
		range->offset = offset;
		range->size = left < RANGE_SIZE ? left : RANGE_SIZE;
		offset += range->size;
		submit(work, &range->task, run_range);
	}
	return 0;
}

static int start_large(struct restore_work *work, const struct version_row *row,
		       const char *path, struct error *err)
{
	struct restore_worker *worker = restore_work_main(work);
	struct restore_file *file = NULL;
	struct manifest manifest = { 0 };
	struct error problem = { 0 };
	int r;

	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	if (restore_work_look(work, worker, &manifest, path)) {
		r = restore_file_open(&work->target, &worker->parent, &manifest, path,
				      &file, &problem);
		if (r < 0)
			restore_work_fail(work, path, r, &problem);
	}
	manifest_done(&manifest);
	return file ? submit_ranges(work, file, err) : 0;
}

int restore_work_file(struct restore_work *work, const struct version_row *row,
		      const char *path, struct error *err)
{
	if (work->options->stubber && restore_stubs_possible(row))
		return add_to_batch(work, &work->stub_batch, row, path, err);
	if (row->size > LARGE_FILE_MIN)
		return start_large(work, row, path, err);
	return add_to_batch(work, &work->batch, row, path, err);
}

void restore_work_problem(struct restore_work *work, enum restore_problem problem,
			  const char *path, const struct error *err)
{
	on_problem(work, problem, path, 0, 0, err);
}

struct restore_worker *restore_work_main(struct restore_work *work)
{
	return &work->workers[work->worker_count - 1];
}

int restore_work_wait(struct restore_work *work, struct error *err)
{
	struct error ignored;

	flush_batch(work, &work->batch);
	flush_batch(work, &work->stub_batch);
	(void)task_group_wait(&work->group, &ignored); /* tasks never fail */
	return work->stopped < 0 ? error_set(err, work->stopped, "%s", work->stop.text)
				 : 0;
}

static int open_workers(struct restore_work *work, struct error *err)
{
	struct source *source = archive_source(work->archive);
	unsigned count = pool_threads(archive_pool(work->archive)) + 1;
	uint64_t memory =
		(uint64_t)count * (READER_MEMORY + (READER_FRAMES + 1) * FRAME_SIZE_MAX);
	int r;

	r = budget_reserve(archive_budget(work->archive), memory, "restoring", err);
	if (r < 0)
		return r;
	work->memory = memory;
	r = frame_cache_new(NULL, (uint64_t)count * READER_FRAMES * FRAME_SIZE_MAX,
			    &work->frames, err);
	if (r < 0)
		return r;
	work->workers = calloc(count, sizeof(*work->workers));
	if (!work->workers)
		return error_set(err, -ENOMEM, "out of memory");
	for (; work->worker_count < count; work->worker_count++) {
		struct restore_worker *worker = &work->workers[work->worker_count];

		worker->parent.fd = -1;
		worker->buffer = malloc(FRAME_SIZE_MAX);
		r = worker->buffer
			    ? reader_new(source, work->frames, &worker->reader, err)
			    : error_set(err, -ENOMEM, "out of memory");
		if (r < 0) {
			free(worker->buffer);
			return r;
		}
	}
	return 0;
}

int restore_work_open(struct restore_work *work, struct archive *archive,
		      const struct restore_options *options, struct error *err)
{
	int r;

	*work = (struct restore_work){
		.archive = archive,
		.options = options,
		.target = { .fd = -1 },
		.sink = { .problem = on_problem,
			  .context = work,
			  .cancel = options->cancel },
	};
	task_group_init(&work->group);
	mutex_init(&work->mutex);
	r = open_workers(work, err);
	if (r == 0)
		r = target_open(archive, options->directory, &work->target, err);
	return r;
}

void restore_work_done(struct restore_work *work)
{
	for (unsigned i = 0; i < work->worker_count; i++) {
		reader_free(work->workers[i].reader);
		target_parent_done(&work->workers[i].parent);
		free(work->workers[i].buffer);
	}
	free(work->workers);
	frame_cache_free(work->frames);
	budget_release(archive_budget(work->archive), work->memory);
	batch_free(work->batch);
	batch_free(work->stub_batch);
	task_group_done(&work->group);
	mutex_done(&work->mutex);
	cleanup_close_p(&work->target.fd);
}
