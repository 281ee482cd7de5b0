/* SPDX-License-Identifier: MIT */
/* A list, a mutex and two conditions: `work` wakes the thread, `left` wakes whoever waits for
 * a job to leave. Order is the whole point: the medium is written front to back, so there
 * is one thread, and a failure stops everything behind it.
 */
#include "volume/write_queue.h"

#include "base/error.h"
#include "base/mutex.h"

#include <assert.h>
#include <signal.h>

struct write_queue {
	struct mutex mutex; /* guards all below; never held while a job runs */
	struct cond work;   /* first changed, or closing */
	struct cond left;   /* a job left the queue */
	struct write_job *first;
	struct write_job **last; /* where the next one is linked */
	bool closing;
	int r; /* of the first failure */
	struct error err;
	pthread_t thread;
};

/* The next job to run, or NULL to end. It stays first until it is done. */
static struct write_job *next_job(struct write_queue *queue)
{
	mutex_scope(&queue->mutex);
	while (!queue->first && !queue->closing)
		cond_wait(&queue->work, &queue->mutex);
	return queue->first;
}

static void leave(struct write_queue *queue, struct write_job *job, int r,
		  const struct error *err)
{
	mutex_scope(&queue->mutex);
	if (r < 0 && queue->r == 0) {
		queue->r = r;
		queue->err = *err;
	}
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	job->pending = false;
	cond_broadcast(&queue->left);
}

static void *run_thread(void *context)
{
	struct write_queue *queue = context;
	struct write_job *job;

	while ((job = next_job(queue))) {
		struct error err = { 0 };
		int r = 0;

		if (write_queue_check(queue, NULL) == 0)
			r = job->run(job, &err);
		leave(queue, job, r, &err);
	}
	return NULL;
}

/* Signals are for the threads that expect them. */
static int start_thread(struct write_queue *queue)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&queue->thread, NULL, run_thread, queue);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

static void release(struct write_queue *queue)
{
	cond_done(&queue->work);
	cond_done(&queue->left);
	mutex_done(&queue->mutex);
	free(queue);
}

int write_queue_new(struct write_queue **queue_out, struct error *err)
{
	struct write_queue *queue = calloc(1, sizeof(*queue));
	int r;

	if (!queue)
		return error_set(err, -ENOMEM, "no memory for a write queue");
	mutex_init(&queue->mutex);
	cond_init(&queue->work);
	cond_init(&queue->left);
	queue->last = &queue->first;
	r = start_thread(queue);
	if (r < 0) {
		release(queue);
		return error_set_errno(err, r, "starting a thread to write");
	}
	*queue_out = queue;
	return 0;
}

void write_queue_free(struct write_queue *queue)
{
	if (!queue)
		return;
	mutex_lock(&queue->mutex);
	queue->closing = true;
	cond_signal(&queue->work);
	mutex_unlock(&queue->mutex);
	(void)pthread_join(queue->thread, NULL); /* fails on misuse only */
	release(queue);
}

void write_queue_push(struct write_queue *queue, struct write_job *job)
{
	mutex_scope(&queue->mutex);
	assert(!job->pending && !queue->closing);
	job->pending = true;
	job->next = NULL;
	*queue->last = job;
	queue->last = &job->next;
	cond_signal(&queue->work);
}

bool write_queue_pending(struct write_queue *queue, const struct write_job *job)
{
	mutex_scope(&queue->mutex);
	return job->pending;
}

void write_queue_wait(struct write_queue *queue, const struct write_job *job)
{
	mutex_scope(&queue->mutex);
	while (job->pending)
		cond_wait(&queue->left, &queue->mutex);
}

int write_queue_check(struct write_queue *queue, struct error *err)
{
	mutex_scope(&queue->mutex);
	if (queue->r < 0 && err)
		*err = queue->err;
	return queue->r;
}

int write_queue_drain(struct write_queue *queue, struct error *err)
{
	mutex_lock(&queue->mutex);
	while (queue->first)
		cond_wait(&queue->left, &queue->mutex);
	mutex_unlock(&queue->mutex);
	return write_queue_check(queue, err);
}
