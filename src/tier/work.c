/* SPDX-License-Identifier: MIT */
/* A job is in the list of all from the moment that it is decided on until its end, and only who
 * puts it in or takes it out frees it. Its waiters are answered after it was taken out: who
 * comes from then on gets a job of its own, which finds nothing to do.
 *
 * A job that is a recall is fresh first, and then in the queue, until a runner has it. Where so
 * many wait that the order matters, the runners find out where each one's content lies before
 * they go on with recalls.
 */
#include "tier/work.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "catalog/stub_table.h"
#include "tier/caller.h"
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
	struct work *work;
	struct work_job *next;
	struct work_job *next_fresh;
	uid_t user; /* of the first request */
	bool running;
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
	space_init(&work->space);
	work->jobs = NULL;
	for (size_t i = 0; i < RECALLS_MAX; i++)
		work->runners[i].work = work;
}

void work_done(struct work *work)
{
	(void)task_group_wait(&work->tasks, NULL);
	task_group_done(&work->tasks);
	recall_queue_done(&work->queue);
	space_done(&work->space);
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

/* What the guard asks for. */
struct request {
	uint64_t sequence;
	uid_t user;
	int fd;
};

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
static int wait_for_locked(struct work *work, struct work_job *job,
			   const struct request *request) requires_mutex(work->mutex)
{
	uint64_t *waiting = reallocarray(job->waiting, job->count + 1, sizeof(*waiting));

	(void)work;
	if (!waiting)
		return -ENOMEM;
	job->waiting = waiting;
	if (job->count == 0)
		job->user = request->user;
	job->waiting[job->count++] = request->sequence;
	if (job->fd < 0)
		job->fd = request->fd;
	else
		(void)close(request->fd);
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

	atomic_fetch_add(&job->work->steps, 1);
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

static void recall(struct work_job *job)
{
	struct work *work = job->work;
	const struct object_watch watch = { .chunk = tell_progress, .context = job };
	const struct recall_setup setup = { work->tiers, work->group, &work->space };
	struct error why = { 0 };
	struct stat stat = { 0 };
	char path[1024];
	int r;

	name_of(job->fd, path, sizeof(path));
	(void)fstat(job->fd, &stat);
	r = recall_file(&setup, job->fd, &watch, &why);
	if (r < 0) {
		(void)error_prefix(&why, r, "'%s'", path);
		log_error("%s", why.text);
	}
	note_result(work, &stat, r, &why);
	atomic_fetch_add(&work->steps, 1);
	mutex_lock(&work->mutex);
	remove_locked(work, job);
	recall_queue_finish(&work->queue, job->user);
	mutex_unlock(&work->mutex);
	end_job(job, recall_errno(r));
}

/* ---- in which order ---- */

/* @job is in no list but that of all jobs; without memory nobody will run it. */
static bool queue_locked(struct work *work, struct work_job *job,
			 const struct recall_place *place) requires_mutex(work->mutex)
{
	const struct recall_wish wish = { .place = *place,
					  .user = job->user,
					  .job = job };

	if (recall_queue_add(&work->queue, &wish) == 0)
		return true;
	remove_locked(work, job);
	return false;
}

static struct work_job *take_fresh_locked(struct work *work) requires_mutex(work->mutex)
{
	struct work_job *job = work->fresh;

	if (job)
		work->fresh = job->next_fresh;
	return job;
}

/* Of few jobs all run at once, and the order does not matter. */
static bool is_order_wanted_locked(const struct work *work) requires_mutex(work->mutex)
{
	size_t count = work->queue.count;

	for (const struct work_job *job = work->fresh; job && count <= RECALLS_MAX;
	     job = job->next_fresh)
		count++;
	return count > RECALLS_MAX;
}

/* Put a job that has just come into the queue, if there is one. */
static void sort_in(struct work *work)
{
	struct recall_place place = { 0 };
	struct work_job *job;
	bool locate, queued;

	mutex_lock(&work->mutex);
	locate = is_order_wanted_locked(work);
	job = take_fresh_locked(work);
	mutex_unlock(&work->mutex);
	if (!job)
		return;
	if (locate)
		recall_locate(work->tiers, job->fd, &place);
	mutex_lock(&work->mutex);
	queued = queue_locked(work, job, &place);
	mutex_unlock(&work->mutex);
	if (!queued)
		end_job(job, recall_errno(-ENOMEM));
}

/* False: there is nothing to do, and the runner is free for another task. *job_out is NULL
 * where another job has to be sorted in first. */
static bool next_job(struct work_runner *runner, struct work_job **job_out)
{
	struct work *work = runner->work;
	struct recall_wish wish;

	mutex_scope(&work->mutex);
	*job_out = NULL;
	if (work->fresh)
		return true;
	if (!recall_queue_take(&work->queue, &wish)) {
		runner->busy = false;
		return false;
	}
	wish.job->running = true;
	*job_out = wish.job;
	return true;
}

/* Who finds nothing to run that is not forbidden to its user leaves: whoever ends a recall of
 * that user's looks again. */
static int run_recalls(struct task *task, unsigned worker, struct error *err)
{
	struct work_runner *runner = (struct work_runner *)task;
	struct work_job *job;

	(void)worker;
	(void)err;
	while (next_job(runner, &job)) {
		if (job)
			recall(job);
		else
			sort_in(runner->work);
	}
	return 0;
}

static void submit_locked(struct work *work, struct work_job *job)
	requires_mutex(work->mutex)
{
	job->next_fresh = work->fresh;
	work->fresh = job;
	for (size_t i = 0; i < RECALLS_MAX; i++) {
		struct work_runner *runner = &work->runners[i];

		if (runner->busy)
			continue;
		runner->busy = true;
		runner->task.run = run_recalls;
		pool_submit(work->pool, &work->tasks, &runner->task);
		return;
	}
}

static int recall_locked(struct work *work, const struct stat *stat,
			 const struct request *request) requires_mutex(work->mutex)
{
	struct work_job *job = find_locked(work, stat->st_dev, stat->st_ino);
	int r;

	if (job)
		return wait_for_locked(work, job, request);
	job = add_locked(work, stat->st_dev, stat->st_ino);
	if (!job)
		return -ENOMEM;
	r = wait_for_locked(work, job, request);
	if (r < 0) {
		remove_locked(work, job);
		free(job);
		return r;
	}
	submit_locked(work, job);
	return 0;
}

static int take_request(struct work *work, pid_t pid, struct request *request)
{
	struct stat stat;

	if (request->fd < 0)
		return -EMFILE;
	if (fstat(request->fd, &stat) < 0)
		return -errno;
	if (caller_runs(pid, work->never->items, work->never->count))
		return -EBUSY;
	request->user = caller_user(pid);
	mutex_scope(&work->mutex);
	return recall_locked(work, &stat, request);
}

void work_recall(struct work *work, uint64_t sequence, pid_t pid, int fd)
{
	struct request request = { .sequence = sequence, .fd = fd };
	int r = take_request(work, pid, &request);

	if (r < 0) {
		cleanup_close_p(&fd);
		answer(work, sequence, recall_errno(r));
	}
}

/* The requests that wait for jobs which have not begun. The caller frees. */
static size_t list_queued(struct work *work, uint64_t **list_out)
{
	size_t count = 0, capacity = 0;

	*list_out = NULL;
	mutex_scope(&work->mutex);
	for (const struct work_job *job = work->jobs; job; job = job->next)
		capacity += job->running ? 0 : job->count;
	if (capacity > 0)
		*list_out = calloc(capacity, sizeof(**list_out));
	for (const struct work_job *job = work->jobs; job && *list_out; job = job->next)
		for (size_t i = 0; i < job->count && !job->running; i++)
			(*list_out)[count++] = job->waiting[i];
	return count;
}

void work_tell_progress(struct work *work)
{
	struct message message = { .type = MESSAGE_PROGRESS };
	unsigned long long steps = atomic_load(&work->steps);
	autofree uint64_t *list = NULL;
	size_t count;

	if (steps == work->told)
		return;
	work->told = steps;
	count = list_queued(work, &list);
	for (size_t i = 0; i < count; i++) {
		message.sequence = list[i];
		(void)message_send(work->guard, &message, -1, 0);
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
