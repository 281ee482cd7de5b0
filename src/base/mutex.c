/* SPDX-License-Identifier: MIT */
#include "base/mutex.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Default mutexes and conditions fail on misuse only (a destroyed object, an unlock by a
 * stranger). Going on would corrupt what the lock guards. */
static void must_be_zero(int r)
{
	if (r != 0)
		abort();
}

void mutex_init(struct mutex *mutex)
{
	must_be_zero(pthread_mutex_init(&mutex->handle, NULL));
}

void mutex_done(struct mutex *mutex)
{
	must_be_zero(pthread_mutex_destroy(&mutex->handle));
}

void mutex_lock(struct mutex *mutex) mutex_attribute_(no_thread_safety_analysis)
{
	must_be_zero(pthread_mutex_lock(&mutex->handle));
}

void mutex_unlock(struct mutex *mutex) mutex_attribute_(no_thread_safety_analysis)
{
	must_be_zero(pthread_mutex_unlock(&mutex->handle));
}

struct mutex *mutex_scope_enter_(struct mutex *mutex)
	mutex_attribute_(no_thread_safety_analysis)
{
	mutex_lock(mutex);
	return mutex;
}

void mutex_scope_leave_(struct mutex **mutex) mutex_attribute_(no_thread_safety_analysis)
{
	mutex_unlock(*mutex);
}

void cond_init(struct cond *cond)
{
	pthread_condattr_t attributes;

	must_be_zero(pthread_condattr_init(&attributes));
	must_be_zero(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
	must_be_zero(pthread_cond_init(&cond->handle, &attributes));
	must_be_zero(pthread_condattr_destroy(&attributes));
}

void cond_done(struct cond *cond)
{
	must_be_zero(pthread_cond_destroy(&cond->handle));
}

void cond_signal(struct cond *cond)
{
	must_be_zero(pthread_cond_signal(&cond->handle));
}

void cond_broadcast(struct cond *cond)
{
	must_be_zero(pthread_cond_broadcast(&cond->handle));
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
	must_be_zero(pthread_cond_wait(&cond->handle, &mutex->handle));
}

int cond_wait_until(struct cond *cond, struct mutex *mutex, uint64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000000000u),
		.tv_nsec = (long)(deadline % 1000000000u),
	};
	int r = pthread_cond_timedwait(&cond->handle, &mutex->handle, &until);

	if (r == ETIMEDOUT)
		return -ETIMEDOUT;
	must_be_zero(r);
	return 0;
}
