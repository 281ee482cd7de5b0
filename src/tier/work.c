/* SPDX-License-Identifier: MIT */
/* A job is in the list from the moment that it is decided on until its end, and only who
 * puts it in or takes it out frees it. Its waiters are answered after it was taken out: who
 * comes from then on gets a job of its own, which finds nothing to do.
 */
#include "tier/work.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "catalog/stub_table.h"
#include "tier/message.h"
#include "tier/object.h"
#include "tier/recall.h"
#include "tier/stubber.h"
#include "tier/tier.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct work_job {
	struct task task;
	struct work *work;
	struct work_job *next;
	dev_t device;
	ino_t inode;
	int fd;             /* of the first request; -1: none yet */
	atomic_bool wanted; /* somebody waits for a file that is claimed */
	uint64_t told;      /* clock_monotonic_ns() of the last sign of progress */
	uint64_t *waiting;  /* requests; owned */
	size_t count;
};

void work_init(struct work *work)
{
	mutex_init(&work->mutex);
	task_group_init(&work->tasks);
	work->jobs = NULL;
}

void work_done(struct work *work)
{
	(void)task_group_wait(&work->tasks, NULL);
	task_group_done(&work->tasks);
	mutex_done(&work->mutex);
}

static void answer(const struct work *work, uint64_t sequence, int error)
{
	const struct message message = { .type = MESSAGE_ANSWER,
					 .sequence = sequence,
					 .error = error };

	/* If the guard is gone, its successor has denied the request. */
	(void)message_send(work->guard, &message, -1, 0);
}

/* ---- the list ---- */

static struct work_job *find_locked(struct work *work, dev_t device, ino_t inode)
	requires_mutex(work->mutex)
{
	struct work_job *job = work->jobs;

	while (job && (job->device != device || job->inode != inode))
		job = job->next;
	return job;
}

static void remove_locked(struct work *work, struct work_job *job)
	requires_mutex(work->mutex)
{
	struct work_job **place = &work->jobs;

	while (*place != job)
		place = &(*place)->next;
	*place = job->next;
}

static struct work_job *add_locked(struct work *work, dev_t device, ino_t inode)
	requires_mutex(work->mutex)
{
	struct work_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->work = work;
	job->fd = -1;
	job->device = device;
	job->inode = inode;
	job->next = work->jobs;
	work->jobs = job;
	return job;
}

/* The descriptor is the job's from now on, or closed. */
static int wait_for_locked(struct work *work, struct work_job *job, uint64_t sequence,
			   int fd) requires_mutex(work->mutex)
{
	uint64_t *waiting = reallocarray(job->waiting, job->count + 1, sizeof(*waiting));

	(void)work;
	if (!waiting)
		return -ENOMEM;
	job->waiting = waiting;
	job->waiting[job->count++] = sequence;
	if (job->fd < 0)
		job->fd = fd;
	else
		(void)close(fd);
	atomic_store(&job->wanted, true);
	return 0;
}

/* Answer who waited for a job that is not in the list any more, and free it. */
static void end_job(struct work_job *job, int error)
{
	cleanup_close_p(&job->fd);
	for (size_t i = 0; i < job->count; i++)
		answer(job->work, job->waiting[i], error);
	free(job->waiting);
	free(job);
}

/* ---- recalls ---- */

/* So that requests whose file is on its way are not denied. */
static int tell_progress(void *context)
{
	struct work_job *job = context;
	uint64_t now = clock_monotonic_ns();
	struct message message = { .type = MESSAGE_PROGRESS };

	if (now - job->told < job->work->interval)
		return 0;
	job->told = now;
	mutex_scope(&job->work->mutex);
	/* Nothing here waits: a sign that is lost is followed by another one. */
	for (size_t i = 0; i < job->count; i++) {
		message.sequence = job->waiting[i];
		(void)message_send(job->work->guard, &message, -1, MSG_DONTWAIT);
	}
	return 0;
}

static void note_result(struct work *work, const struct stat *stat, int r,
			const struct error *err)
{
	mutex_scope(&work->mutex);
	if (r == 0) {
		work->recalled++;
		work->recalled_size += (uint64_t)stat->st_size;
		return;
	}
	work->failed++;
	(void)snprintf(work->last_problem, sizeof(work->last_problem), "%s", err->text);
}

/* Where the file is now, for messages. */
static void name_of(int fd, char *path, size_t size)
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	path[n > 0 ? n : 0] = '\0';
}

static int run_recall(struct task *task, unsigned worker, struct error *err)
{
	struct work_job *job = (struct work_job *)task;
	struct work *work = job->work;
	const struct object_watch watch = { .chunk = tell_progress, .context = job };
	struct error why = { 0 };
	struct stat stat = { 0 };
	char path[1024];
	int r;

	(void)worker;
	(void)err;
	name_of(job->fd, path, sizeof(path));
	(void)fstat(job->fd, &stat);
	r = recall_file(work->tiers, work->group, job->fd, &watch, &why);
	if (r < 0) {
		(void)error_prefix(&why, r, "'%s'", path);
		log_error("%s", why.text);
	}
	note_result(work, &stat, r, &why);
	mutex_lock(&work->mutex);
	remove_locked(work, job);
	mutex_unlock(&work->mutex);
	end_job(job, recall_errno(r));
	return 0;
}

static void submit_locked(struct work *work, struct work_job *job)
	requires_mutex(work->mutex)
{
	job->task.run = run_recall;
	pool_submit(work->pool, &work->tasks, &job->task);
}

static int recall_locked(struct work *work, const struct stat *stat, uint64_t sequence,
			 int fd) requires_mutex(work->mutex)
{
	struct work_job *job = find_locked(work, stat->st_dev, stat->st_ino);
	int r;

	if (job)
		return wait_for_locked(work, job, sequence, fd);
	job = add_locked(work, stat->st_dev, stat->st_ino);
	if (!job)
		return -ENOMEM;
	r = wait_for_locked(work, job, sequence, fd);
	if (r < 0) {
		remove_locked(work, job);
		free(job);
		return r;
	}
	submit_locked(work, job);
	return 0;
}

void work_recall(struct work *work, uint64_t sequence, int fd)
{
	struct stat stat;
	int r;

	if (fd < 0) {
		r = -EMFILE;
	} else if (fstat(fd, &stat) < 0) {
		r = -errno;
	} else {
		mutex_scope(&work->mutex);
		r = recall_locked(work, &stat, sequence, fd);
	}
	if (r < 0) {
		cleanup_close_p(&fd);
		answer(work, sequence, recall_errno(r));
	}
}

/* ---- claims ---- */

int work_claim(struct work *work, dev_t device, ino_t inode, struct work_job **job_out,
	       struct error *err)
{
	struct work_job *job;

	mutex_scope(&work->mutex);
	if (find_locked(work, device, inode))
		return error_set(err, -EBUSY, "it is in use");
	job = add_locked(work, device, inode);
	if (!job)
		return error_set(err, -ENOMEM, "no memory for a job");
	*job_out = job;
	return 0;
}

/* Who came meanwhile gets a recall, which finds out whether it is a stub. */
void work_unclaim(struct work_job *job)
{
	struct work *work = job->work;

	mutex_scope(&work->mutex);
	if (job->count > 0) {
		submit_locked(work, job);
		return;
	}
	remove_locked(work, job);
	free(job->waiting);
	free(job);
}

/* ---- stubs ---- */

static int check_wanted(void *context)
{
	struct work_job *job = context;

	return atomic_load(&job->wanted) ? -EBUSY : 0;
}

static int begin_stub(struct work *work, int fd, struct work_job **job_out,
		      struct error *err)
{
	struct stat stat;

	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "look");
	return work_claim(work, stat.st_dev, stat.st_ino, job_out, err);
}

static char *key_of(const struct tier *tier, const char *rest)
{
	struct text text = { 0 };

	if (text_appendf(&text, "%s%s%s", tier->into, tier->into[0] ? "/" : "", rest) < 0)
		text_done(&text);
	return text_take(&text);
}

int work_stub(struct work *work, size_t tier_number, const char *rest, const char *path,
	      struct error *err)
{
	struct tier *tier = &work->tiers->items[tier_number];
	autofree char *key = key_of(tier, rest);
	struct object_watch watch = { .chunk = check_wanted };
	struct work_job *job = NULL;
	autoclose int fd = -1;
	int r;

	if (!key)
		return error_set(err, -ENOMEM, "no memory for a path");
	r = stubber_open(tier, rest, &fd, err);
	if (r == 0)
		r = begin_stub(work, fd, &job, err);
	if (r < 0)
		return r;
	assert(job);
	watch.context = job;
	r = stubber_run(tier, work->group, fd, key, path, &watch, err);
	/* An open descriptor would be in the way of execve(). */
	(void)close(take_fd(&fd));
	work_unclaim(job);
	return r;
}

void work_count(struct work *work, size_t *jobs_out, size_t *waiting_out)
{
	size_t jobs = 0, waiting = 0;

	mutex_scope(&work->mutex);
	for (const struct work_job *job = work->jobs; job; job = job->next) {
		jobs++;
		waiting += job->count;
	}
	*jobs_out = jobs;
	*waiting_out = waiting;
}
