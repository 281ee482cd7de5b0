/* SPDX-License-Identifier: MIT */
/* Two queues, one lock, one condition: tasks here take milliseconds (a segment to compress,
 * a row to encode), so the queue is never what limits. Work stealing was not considered
 * worth its code.
 *
 * The second queue holds the patient tasks, and a worker looks there last. A commit submits
 * the compression of 32 MiB at once; without that, the next leaves to be hashed would wait
 * for all of it, and the thread that fills extents with them.
 *
 * Invariants:
 *   - A worker copies what it needs out of a task before it runs it, and does not touch
 *     it afterwards: the function may free or resubmit its own task.
 *   - A group's counter goes down after the function returned, under the group's lock,
 *     and the signal is given under that lock too. So a waiter that sees zero may destroy
 *     the group: the worker's last access is its unlock.
 *   - The queue lock and the group locks are never held together.
 *
 * Not handled: more priorities, cancelling (callers test task_group_failed() and stop), waiting
 * from within a task (asserted, it could deadlock).
 */
#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
	struct pool *pool;
	unsigned index;
	pthread_t thread;
};

struct task_queue {
	struct task *first;      /* oldest first */
	struct task **last_next; /* where the next task is hung on */
};

struct pool {
	struct mutex mutex; /* guards the queues and closing; innermost lock */
	struct cond wanted; /* a task was queued, or closing was set */
	struct task_queue queue;
	struct task_queue patient;
	bool closing;          /* end when the queues are empty */
	unsigned thread_count; /* workers started; immutable after pool_new() */
	struct worker workers[];
};

static _Thread_local bool is_worker;

static void queue_init(struct task_queue *queue)
{
	queue->first = NULL;
	queue->last_next = &queue->first;
}

static void queue_push(struct task_queue *queue, struct task *task)
{
	task->next = NULL;
	*queue->last_next = task;
	queue->last_next = &task->next;
}

/* NULL if it is empty. */
static struct task *queue_pop(struct task_queue *queue)
{
	struct task *task = queue->first;

	if (!task)
		return NULL;
	queue->first = task->next;
	if (!queue->first)
		queue->last_next = &queue->first;
	return task;
}

/* The next task, waiting for one; NULL when the pool is empty and closing. */
static struct task *take_task(struct pool *pool)
{
	struct task *task;

	mutex_scope(&pool->mutex);
	while (!pool->queue.first && !pool->patient.first && !pool->closing)
		cond_wait(&pool->wanted, &pool->mutex);
	task = queue_pop(&pool->queue);
	return task ? task : queue_pop(&pool->patient);
}

static void finish_one(struct task_group *group, int r, const struct error *err)
{
	mutex_scope(&group->mutex);
	if (r < 0 && group->r == 0) {
		group->r = r;
		group->err = *err;
	}
	group->pending--;
	if (group->pending == group->awaited)
		cond_signal(&group->changed);
}

static void *work(void *argument)
{
	const struct worker *worker = argument;
	struct task *task;

	is_worker = true;
	while ((task = take_task(worker->pool))) {
		struct task_group *group = task->group;
		struct error err = { 0 };
		int r;

		r = task->run(task, worker->index, &err);
		finish_one(group, r, &err);
	}
	return NULL;
}

/* Threads inherit the mask: signals are for the thread that started the pool. */
static int start_worker(struct worker *worker)
{
	sigset_t all;
	sigset_t old;
	int r;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&worker->thread, NULL, work, worker);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

/* The affinity mask, since containers get fewer cores than there are. */
unsigned pool_default_threads(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	n = CPU_COUNT(&set);
	if (n > POOL_THREADS_MAX)
		return POOL_THREADS_MAX;
	return n > 0 ? (unsigned)n : 1;
}

int pool_new(unsigned threads, struct pool **pool_out, struct error *err)
{
	autoptr(pool) pool = NULL;
	int r;

	if (threads > POOL_THREADS_MAX)
		return error_set(err, -EINVAL, "%u threads are more than %d", threads,
				 POOL_THREADS_MAX);
	if (threads == 0)
		threads = pool_default_threads();

	pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->workers[0]));
	if (!pool)
		return error_set(err, -ENOMEM, "no memory for a pool");
	mutex_init(&pool->mutex);
	cond_init(&pool->wanted);
	queue_init(&pool->queue);
	queue_init(&pool->patient);

	for (unsigned i = 0; i < threads; i++) {
		pool->workers[i] = (struct worker){ .pool = pool, .index = i };
		r = start_worker(&pool->workers[i]);
		if (r < 0)
			return error_set_errno(err, r, "starting worker thread %u", i);
		pool->thread_count++;
	}
	*pool_out = take_ptr(pool);
	return 0;
}

static void close_queue(struct pool *pool)
{
	mutex_scope(&pool->mutex);
	pool->closing = true;
	cond_broadcast(&pool->wanted);
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;

	close_queue(pool);
	for (unsigned i = 0; i < pool->thread_count; i++)
		(void)pthread_join(pool->workers[i].thread, NULL);
	cond_done(&pool->wanted);
	mutex_done(&pool->mutex);
	free(pool);
}

unsigned pool_threads(const struct pool *pool)
{
	return pool->thread_count;
}

static void add_pending(struct task_group *group)
{
	mutex_scope(&group->mutex);
	group->pending++;
}

static void submit(struct pool *pool, struct task_queue *queue, struct task_group *group,
		   struct task *task)
{
	add_pending(group);
	task->group = group;

	mutex_scope(&pool->mutex);
	queue_push(queue, task);
	cond_signal(&pool->wanted);
}

void pool_submit(struct pool *pool, struct task_group *group, struct task *task)
{
	submit(pool, &pool->queue, group, task);
}

void pool_submit_patient(struct pool *pool, struct task_group *group, struct task *task)
{
	submit(pool, &pool->patient, group, task);
}

void task_group_init(struct task_group *group)
{
	*group = (struct task_group){ 0 };
	mutex_init(&group->mutex);
	cond_init(&group->changed);
}

void task_group_done(struct task_group *group)
{
	assert(group->pending == 0);
	cond_done(&group->changed);
	mutex_done(&group->mutex);
}

/* It is woken when that is so, not by each task that ends. */
static void wait_locked(struct task_group *group, size_t pending)
	requires_mutex(group->mutex)
{
	group->awaited = pending;
	while (group->pending > pending)
		cond_wait(&group->changed, &group->mutex);
}

void task_group_wait_at_most(struct task_group *group, size_t pending)
{
	assert(!is_worker);
	mutex_scope(&group->mutex);
	wait_locked(group, pending);
}

int task_group_wait(struct task_group *group, struct error *err)
{
	int r;

	assert(!is_worker);
	mutex_scope(&group->mutex);
	wait_locked(group, 0);
	r = group->r;
	if (r < 0 && err)
		*err = group->err;
	group->r = 0;
	return r;
}

size_t task_group_pending(struct task_group *group)
{
	mutex_scope(&group->mutex);

	return group->pending;
}

bool task_group_failed(struct task_group *group)
{
	mutex_scope(&group->mutex);
	return group->r < 0;
}
