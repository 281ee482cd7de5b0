/* SPDX-License-Identifier: MIT */
/* A ring of jobs. Each has a task group of its own, so that the oldest can be waited for;
 * when the ring is full, that is what happens. A job without a content to compare just waits
 * for its turn.
 *
 * A content is read to its end even after the first difference: what is lost in the archive
 * is to be told in any case.
 */
#include "archive/compare_queue.h"

#include "archive/archive.h"
#include "archive/reader.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "chunker/frame.h"
#include "chunker/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_PER_THREAD 4u
#define WORKER_BUFFER \
	((size_t)2 * FRAME_SIZE_MAX) /* bytes: of the archive, and of the disk */

struct compare_job {
	struct task task;
	struct task_group group;
	struct compare_queue *queue;
	struct compare_finding finding; /* path owned; err points to .err or is NULL */
	struct error err;
	struct content *content; /* owned; NULL: nothing to compare */
	int fd;                  /* owned; -1: none */
	uint64_t lost_offset;
	uint64_t lost_size; /* bytes */
	bool differs;
};

struct compare_worker {
	struct reader *reader;
	struct buffer buffer;
};

struct compare_queue {
	struct archive *archive;
	const struct compare_options *options;
	struct compare_summary *summary;
	struct compare_worker *workers;
	unsigned worker_count;
	struct compare_job *jobs;
	size_t job_count;
	size_t first; /* the oldest job */
	size_t used;
};

static int worker_init(struct compare_worker *worker, struct archive *archive,
		       struct error *err)
{
	int r;

	r = buffer_alloc(&worker->buffer, archive_budget(archive), WORKER_BUFFER,
			 "comparing", err);
	if (r < 0)
		return r;
	return reader_new(archive_source(archive), NULL, &worker->reader, err);
}

int compare_queue_new(struct archive *archive, const struct compare_options *options,
		      struct compare_summary *summary, struct compare_queue **queue_out,
		      struct error *err)
{
	autoptr(compare_queue) queue = calloc(1, sizeof(*queue));
	size_t threads = pool_threads(archive_pool(archive));
	int r;

	if (!queue)
		return error_set(err, -ENOMEM, "out of memory");
	queue->archive = archive;
	queue->options = options;
	queue->summary = summary;
	queue->jobs = calloc(threads * JOBS_PER_THREAD, sizeof(*queue->jobs));
	queue->workers = calloc(threads, sizeof(*queue->workers));
	if (!queue->jobs || !queue->workers)
		return error_set(err, -ENOMEM, "out of memory");
	queue->job_count = threads * JOBS_PER_THREAD;
	while (options->content && queue->worker_count < threads) {
		r = worker_init(&queue->workers[queue->worker_count++], archive, err);
		if (r < 0)
			return r;
	}
	*queue_out = take_ptr(queue);
	return 0;
}

/* Comparing; on a worker. */

static void note_lost(struct compare_job *job, uint64_t offset, uint64_t size)
{
	if (job->lost_size == 0)
		job->lost_offset = offset;
	job->lost_size += size;
}

/* Compare @size bytes at @offset that the archive has at @archived. */
static int compare_disk(struct compare_job *job, const uint8_t *archived, uint8_t *buf,
			uint64_t offset, size_t size, struct error *err)
{
	size_t got;
	int r;

	r = pread_full(job->fd, buf, size, offset, &got);
	if (r < 0)
		return error_set_errno(err, r, "read");
	job->differs = got != size || memcmp(archived, buf, size) != 0;
	return 0;
}

/* Compare from @offset on, at most to the end of a frame, which goes to *end_out. */
static int compare_some(struct compare_job *job, struct compare_worker *worker,
			uint64_t offset, uint64_t *end_out, struct error *err)
{
	uint64_t size = content_size(job->content);
	uint64_t end = (offset / SEGMENT_SIZE_MAX + 1) * SEGMENT_SIZE_MAX;
	uint8_t *archived = worker->buffer.data;
	int r;

	if (end > size)
		end = size;
	r = content_frame_end(job->content, worker->reader, offset, &end, err);
	*end_out = end;
	if (r == 0)
		r = content_read(job->content, worker->reader, offset, archived,
				 (size_t)(end - offset), err);
	if (r == -EBADMSG) {
		note_lost(job, offset, end - offset);
		return 0;
	}
	if (r < 0 || job->differs || job->fd < 0)
		return r;
	return compare_disk(job, archived, archived + FRAME_SIZE_MAX, offset,
			    (size_t)(end - offset), err);
}

static int run(struct task *task, unsigned number, struct error *err)
{
	struct compare_job *job = (struct compare_job *)task; /* first member */
	struct compare_worker *worker = &job->queue->workers[number];
	const atomic_bool *cancel = job->queue->options->cancel;
	uint64_t end;
	int r;

	for (uint64_t at = 0; at < content_size(job->content); at = end) {
		if (cancel && atomic_load(cancel))
			return error_set(err, -EINTR, "interrupted");
		r = compare_some(job, worker, at, &end, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Reporting. */

static void report(struct compare_queue *queue, const struct compare_finding *finding)
{
	uint64_t *counters[] = {
		[COMPARE_NEW] = &queue->summary->new_entries,
		[COMPARE_GONE] = &queue->summary->gone,
		[COMPARE_CHANGED] = &queue->summary->changed,
		[COMPARE_LOST] = &queue->summary->lost,
		[COMPARE_UNREADABLE] = &queue->summary->unreadable,
	};

	(*counters[finding->kind])++;
	queue->options->found(queue->options->context, finding);
}

static void report_lost(struct compare_queue *queue, const struct compare_job *job)
{
	report(queue, &(struct compare_finding){
			      .kind = COMPARE_LOST,
			      .path = job->finding.path,
			      .offset = job->lost_offset,
			      .size = job->lost_size,
		      });
}

static void report_unreadable(struct compare_queue *queue, struct compare_job *job)
{
	report(queue, &(struct compare_finding){
			      .kind = COMPARE_UNREADABLE,
			      .path = job->finding.path,
			      .err = &job->err,
		      });
}

static void report_job(struct compare_queue *queue, struct compare_job *job, int r)
{
	struct compare_finding *finding = &job->finding;
	uint64_t bytes = job->content ? content_size(job->content) : 0;

	if (job->differs)
		finding->attributes |= COMPARE_CONTENT;
	if (r < 0)
		report_unreadable(queue, job);
	if (job->lost_size > 0)
		report_lost(queue, job);
	if (finding->kind != COMPARE_CHANGED || finding->attributes != 0)
		report(queue, finding);
	queue->summary->bytes += bytes;
	queue->summary->entries += finding->kind == COMPARE_CHANGED;
	if (queue->options->progress)
		queue->options->progress(queue->options->context, 1, bytes);
}

static void job_done(struct compare_job *job)
{
	task_group_done(&job->group);
	content_free(job->content);
	cleanup_close_p(&job->fd);
	free(job->finding.path);
}

/* Wait for the oldest job and report it. */
static int finish_oldest(struct compare_queue *queue, struct error *err)
{
	struct compare_job *job = &queue->jobs[queue->first];
	int r = 0;

	if (job->content)
		r = task_group_wait(&job->group, &job->err);
	if (r == -EINTR || r == -ENOMEM)
		r = error_set(err, r, "%s", job->err.text);
	else
		report_job(queue, job, r);
	job_done(job);
	queue->first = (queue->first + 1) % queue->job_count;
	queue->used--;
	return r == -EINTR || r == -ENOMEM ? r : 0;
}

int compare_queue_flush(struct compare_queue *queue, struct error *err)
{
	int r = 0;

	while (queue->used > 0 && r == 0)
		r = finish_oldest(queue, err);
	return r;
}

void compare_queue_free(struct compare_queue *queue)
{
	if (!queue)
		return;
	for (; queue->used > 0; queue->used--) {
		struct compare_job *job = &queue->jobs[queue->first];

		if (job->content)
			(void)task_group_wait(&job->group, NULL);
		job_done(job);
		queue->first = (queue->first + 1) % queue->job_count;
	}
	for (unsigned i = 0; i < queue->worker_count; i++) {
		reader_free(queue->workers[i].reader);
		buffer_free(&queue->workers[i].buffer);
	}
	free(queue->workers);
	free(queue->jobs);
	free(queue);
}

/* A job at the end of the queue; takes over what it is given, also on failure. */
static int push(struct compare_queue *queue, const struct compare_finding *finding,
		int fd, struct content *content, struct compare_job **job_out,
		struct error *err)
{
	struct compare_job *job;
	int r = 0;

	if (queue->used == queue->job_count)
		r = finish_oldest(queue, err);
	if (r < 0) {
		free(finding->path);
		content_free(content);
		cleanup_close_p(&fd);
		return r;
	}
	job = &queue->jobs[(queue->first + queue->used++) % queue->job_count];
	*job = (struct compare_job){
		.task.run = run,
		.queue = queue,
		.finding = *finding,
		.content = content,
		.fd = fd,
	};
	task_group_init(&job->group);
	*job_out = job;
	return 0;
}

int compare_queue_content(struct compare_queue *queue, char *path, int fd,
			  const struct manifest *manifest, unsigned attributes,
			  struct error *err)
{
	struct compare_finding finding = { .kind = COMPARE_CHANGED,
					   .path = path,
					   .attributes = attributes };
	struct content *content = NULL;
	struct compare_job *job;
	int r;

	r = content_open(manifest, &content, err);
	if (r < 0) {
		free(path);
		cleanup_close_p(&fd);
		return r;
	}
	r = push(queue, &finding, fd, content, &job, err);
	if (r < 0)
		return r;
	pool_submit(archive_pool(queue->archive), &job->group, &job->task);
	return 0;
}

int compare_queue_finding(struct compare_queue *queue, enum compare_kind kind, char *path,
			  unsigned attributes, const struct error *why, struct error *err)
{
	struct compare_finding finding = { .kind = kind,
					   .path = path,
					   .attributes = attributes };
	struct compare_job *job;
	int r;

	r = push(queue, &finding, -1, NULL, &job, err);
	if (r < 0)
		return r;
	if (why)
		job->err = *why;
	job->finding.err = why ? &job->err : NULL;
	return queue->used == 1 ? finish_oldest(queue, err) : 0;
}
