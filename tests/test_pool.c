/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#define TASKS 1000

/* Opened by the test: tasks that wait here keep their workers busy. */
struct gate {
	struct mutex mutex;
	struct cond changed;
	int waiting; /* tasks that stand at the gate */
	bool open;
};

struct job {
	struct task task;
	struct gate *gate;
	atomic_int *counter;
	int *per_worker;
	int order; /* value of the counter when it ran */
	int fail_with;
};

static void gate_init(struct gate *gate)
{
	*gate = (struct gate){ 0 };
	mutex_init(&gate->mutex);
	cond_init(&gate->changed);
}

static void gate_done(struct gate *gate)
{
	cond_done(&gate->changed);
	mutex_done(&gate->mutex);
}

static void gate_pass(struct gate *gate)
{
	mutex_scope(&gate->mutex);
	gate->waiting++;
	cond_broadcast(&gate->changed);
	while (!gate->open)
		cond_wait(&gate->changed, &gate->mutex);
}

static void gate_open(struct gate *gate)
{
	mutex_scope(&gate->mutex);
	gate->open = true;
	cond_broadcast(&gate->changed);
}

static void gate_wait_for(struct gate *gate, int waiting)
{
	mutex_scope(&gate->mutex);
	while (gate->waiting < waiting)
		cond_wait(&gate->changed, &gate->mutex);
}

static int run_job(struct task *task, unsigned worker, struct error *err)
{
	struct job *job = (struct job *)task;

	if (job->gate)
		gate_pass(job->gate);
	if (job->per_worker)
		job->per_worker[worker]++;
	job->order = atomic_fetch_add(job->counter, 1);
	if (job->fail_with < 0)
		return error_set(err, job->fail_with, "job %d failed", job->order);
	return 0;
}

static void every_task_runs_once_on_a_known_worker(void **state)
{
	static struct job jobs[TASKS];
	atomic_int counter = 0;
	int per_worker[3] = { 0 };
	autoptr(pool) pool = NULL;
	struct task_group group;

	(void)state;
	assert_int_equal(pool_new(3, &pool, NULL), 0);
	assert_int_equal(pool_threads(pool), 3);
	task_group_init(&group);
	for (int i = 0; i < TASKS; i++) {
		jobs[i] = (struct job){ .task.run = run_job,
					.counter = &counter,
					.per_worker = per_worker };
		pool_submit(pool, &group, &jobs[i].task);
	}
	assert_int_equal(task_group_wait(&group, NULL), 0);
	assert_int_equal(counter, TASKS);
	assert_int_equal(per_worker[0] + per_worker[1] + per_worker[2], TASKS);
	task_group_done(&group);
}

static void one_worker_runs_tasks_in_order(void **state)
{
	struct job jobs[50] = { 0 };
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;
	struct task_group group;

	(void)state;
	assert_int_equal(pool_new(1, &pool, NULL), 0);
	task_group_init(&group);
	for (int i = 0; i < 50; i++) {
		jobs[i] = (struct job){ .task.run = run_job, .counter = &counter };
		pool_submit(pool, &group, &jobs[i].task);
	}
	assert_int_equal(task_group_wait(&group, NULL), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(jobs[i].order, i);
	task_group_done(&group);
}

static void patient_tasks_run_when_no_others_wait(void **state)
{
	struct gate gate;
	struct job block = { .task.run = run_job, .gate = &gate };
	struct job jobs[6] = { 0 };
	static const int order[6] = { 4, 1, 5, 2, 6, 3 }; /* even ones are patient */
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;
	struct task_group group;

	(void)state;
	gate_init(&gate);
	assert_int_equal(pool_new(1, &pool, NULL), 0);
	task_group_init(&group);
	block.counter = &counter;
	pool_submit(pool, &group, &block.task);
	gate_wait_for(&gate, 1);
	for (int i = 0; i < 6; i++) {
		jobs[i] = (struct job){ .task.run = run_job, .counter = &counter };
		if (i % 2 == 0)
			pool_submit_patient(pool, &group, &jobs[i].task);
		else
			pool_submit(pool, &group, &jobs[i].task);
	}
	gate_open(&gate);
	assert_int_equal(task_group_wait(&group, NULL), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(jobs[i].order, order[i]);
	task_group_done(&group);
	gate_done(&gate);
}

static void the_first_error_is_kept_and_then_forgotten(void **state)
{
	struct job jobs[3] = { 0 };
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;
	struct task_group group;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(pool_new(1, &pool, NULL), 0);
	task_group_init(&group);
	for (int i = 0; i < 3; i++) {
		jobs[i] = (struct job){ .task.run = run_job, .counter = &counter };
		jobs[i].fail_with = i == 0 ? 0 : i == 1 ? -EIO : -EBADMSG;
		pool_submit(pool, &group, &jobs[i].task);
	}
	task_group_wait_at_most(&group, 0);
	assert_true(task_group_failed(&group));
	assert_int_equal(task_group_wait(&group, &err), -EIO);
	assert_string_equal(err.text, "job 1 failed");
	assert_false(task_group_failed(&group));
	assert_int_equal(task_group_wait(&group, &err), 0);
	task_group_done(&group);
}

static void groups_are_waited_for_apart(void **state)
{
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;
	struct task_group slow;
	struct task_group quick;
	struct gate gate;
	struct job held = { .task.run = run_job, .counter = &counter, .gate = &gate };
	struct job free_job = { .task.run = run_job, .counter = &counter };

	(void)state;
	gate_init(&gate);
	assert_int_equal(pool_new(2, &pool, NULL), 0);
	task_group_init(&slow);
	task_group_init(&quick);
	pool_submit(pool, &slow, &held.task);
	pool_submit(pool, &quick, &free_job.task);
	assert_int_equal(task_group_wait(&quick, NULL), 0);
	assert_int_equal(counter, 1);
	gate_open(&gate);
	assert_int_equal(task_group_wait(&slow, NULL), 0);
	assert_int_equal(counter, 2);
	task_group_done(&slow);
	task_group_done(&quick);
	gate_done(&gate);
}

/* Four tasks at the gate at once prove four workers. */
static void as_many_tasks_run_at_once_as_there_are_threads(void **state)
{
	struct job jobs[4] = { 0 };
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;
	struct task_group group;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	assert_int_equal(pool_new(4, &pool, NULL), 0);
	task_group_init(&group);
	for (int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .task.run = run_job,
					.counter = &counter,
					.gate = &gate };
		pool_submit(pool, &group, &jobs[i].task);
	}
	gate_wait_for(&gate, 4);
	gate_open(&gate);
	assert_int_equal(task_group_wait(&group, NULL), 0);
	task_group_done(&group);
	gate_done(&gate);
}

struct chain {
	struct task task;
	struct pool *pool;
	struct task_group *group;
	int left;
};

static int run_chain(struct task *task, unsigned worker, struct error *err)
{
	struct chain *chain = (struct chain *)task;

	(void)worker;
	(void)err;
	if (--chain->left > 0)
		pool_submit(chain->pool, chain->group, task);
	return 0;
}

static void a_task_may_submit_itself_again(void **state)
{
	autoptr(pool) pool = NULL;
	struct task_group group;
	struct chain chain = { .task.run = run_chain, .group = &group, .left = 500 };

	(void)state;
	assert_int_equal(pool_new(2, &pool, NULL), 0);
	chain.pool = pool;
	task_group_init(&group);
	pool_submit(pool, &group, &chain.task);
	assert_int_equal(task_group_wait(&group, NULL), 0);
	assert_int_equal(chain.left, 0);
	task_group_done(&group);
}

/* What a pipeline does: a group for each item, waited for in order, reused at once. */
static void groups_can_be_reused_while_others_run(void **state)
{
	struct job jobs[8] = { 0 };
	struct task_group groups[8];
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;

	(void)state;
	assert_int_equal(pool_new(3, &pool, NULL), 0);
	for (int i = 0; i < 8; i++)
		task_group_init(&groups[i]);
	for (int i = 0; i < TASKS; i++) {
		assert_int_equal(task_group_wait(&groups[i % 8], NULL), 0);
		jobs[i % 8] = (struct job){ .task.run = run_job, .counter = &counter };
		pool_submit(pool, &groups[i % 8], &jobs[i % 8].task);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(task_group_wait(&groups[i], NULL), 0);
		task_group_done(&groups[i]);
	}
	assert_int_equal(counter, TASKS);
}

static void a_producer_waits_until_few_tasks_are_pending(void **state)
{
	struct job jobs[4] = { 0 };
	atomic_int counter = 0;
	autoptr(pool) pool = NULL;
	struct task_group group;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	assert_int_equal(pool_new(1, &pool, NULL), 0);
	task_group_init(&group);
	for (int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ .task.run = run_job,
					.counter = &counter,
					.gate = i == 2 ? &gate : NULL };
		pool_submit(pool, &group, &jobs[i].task);
	}
	task_group_wait_at_most(&group, 2);
	assert_int_equal(counter, 2);
	gate_open(&gate);
	assert_int_equal(task_group_wait(&group, NULL), 0);
	task_group_done(&group);
	gate_done(&gate);
}

static void freeing_the_pool_runs_what_is_queued(void **state)
{
	struct job jobs[20] = { 0 };
	atomic_int counter = 0;
	struct pool *pool = NULL;
	struct task_group group;

	(void)state;
	assert_int_equal(pool_new(2, &pool, NULL), 0);
	task_group_init(&group);
	for (int i = 0; i < 20; i++) {
		jobs[i] = (struct job){ .task.run = run_job, .counter = &counter };
		pool_submit(pool, &group, &jobs[i].task);
	}
	pool_free(pool);
	assert_int_equal(counter, 20);
	assert_int_equal(task_group_wait(&group, NULL), 0);
	task_group_done(&group);
}

static int test_mask(struct task *task, unsigned worker, struct error *err)
{
	sigset_t mask;

	(void)task;
	(void)worker;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	return sigismember(&mask, SIGINT) == 1 ? 0
					       : error_set(err, -EINTR, "not blocked");
}

static void workers_leave_signals_to_others(void **state)
{
	struct task task = { .run = test_mask };
	autoptr(pool) pool = NULL;
	struct task_group group;

	(void)state;
	assert_int_equal(pool_new(1, &pool, NULL), 0);
	task_group_init(&group);
	pool_submit(pool, &group, &task);
	assert_int_equal(task_group_wait(&group, NULL), 0);
	task_group_done(&group);
}

static void the_number_of_threads_is_checked(void **state)
{
	autoptr(pool) pool = NULL;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(pool_new(POOL_THREADS_MAX + 1, &pool, &err), -EINVAL);
	assert_null(pool);
	assert_int_equal(pool_new(0, &pool, NULL), 0);
	assert_int_equal(pool_threads(pool), pool_default_threads());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_task_runs_once_on_a_known_worker),
		cmocka_unit_test(one_worker_runs_tasks_in_order),
		cmocka_unit_test(patient_tasks_run_when_no_others_wait),
		cmocka_unit_test(the_first_error_is_kept_and_then_forgotten),
		cmocka_unit_test(groups_are_waited_for_apart),
		cmocka_unit_test(as_many_tasks_run_at_once_as_there_are_threads),
		cmocka_unit_test(a_task_may_submit_itself_again),
		cmocka_unit_test(groups_can_be_reused_while_others_run),
		cmocka_unit_test(a_producer_waits_until_few_tasks_are_pending),
		cmocka_unit_test(freeing_the_pool_runs_what_is_queued),
		cmocka_unit_test(workers_leave_signals_to_others),
		cmocka_unit_test(the_number_of_threads_is_checked),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
