/* SPDX-License-Identifier: MIT */
#pragma once
/* Mutexes and condition variables, with clang's thread-safety attributes.
 *
 * Lock for the rest of a block with mutex_scope(&x->mutex); the explicit lock and unlock
 * are for the few places where a scope does not fit. Helpers that want the lock held are
 * named *_locked and declared requires_mutex(x->mutex). Nothing here fails: the calls
 * below only fail on misuse, which aborts.
 *
 * Only queues and pools own condition variables. No I/O, callback or wait for another
 * thread happens under a lock.
 */
#include <pthread.h>
#include <stdint.h>

#ifdef __clang__
#define mutex_attribute_(x) __attribute__((x))
#else
#define mutex_attribute_(x)
#endif
#define requires_mutex(m) mutex_attribute_(requires_capability(m))

struct mutex_attribute_(capability("mutex")) mutex
{
	pthread_mutex_t handle;
};

struct cond {
	pthread_cond_t handle; /* uses CLOCK_MONOTONIC */
};

/* For static storage, instead of mutex_init(). */
#define MUTEX_INITIALIZER                 \
	{                                 \
		PTHREAD_MUTEX_INITIALIZER \
	}

void mutex_init(struct mutex *mutex);
void mutex_done(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) mutex_attribute_(acquire_capability(*mutex));
void mutex_unlock(struct mutex *mutex) mutex_attribute_(release_capability(*mutex));

void cond_init(struct cond *cond);
void cond_done(struct cond *cond);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

/* Wait for a signal; @mutex is released meanwhile. May wake without one: test in a loop. */
void cond_wait(struct cond *cond, struct mutex *mutex) requires_mutex(*mutex);

/* As cond_wait(), until @deadline (clock_monotonic_ns()). Returns 0, or -ETIMEDOUT. */
int cond_wait_until(struct cond *cond, struct mutex *mutex, uint64_t deadline)
	requires_mutex(*mutex);

/* The two halves of mutex_scope(). The analysis does not see cleanup attributes, so the
 * first claims the lock without promising to release it. */
struct mutex *mutex_scope_enter_(struct mutex *mutex)
	mutex_attribute_(assert_capability(*mutex));
void mutex_scope_leave_(struct mutex **mutex);

#define mutex_paste2_(a, b) a##b
#define mutex_paste_(a, b) mutex_paste2_(a, b)

/* Hold the mutex that @address points to from here to the end of the enclosing block. */
#define mutex_scope(address)                                                   \
	struct mutex *mutex_paste_(mutex_scope_, __LINE__)                     \
		__attribute__((__cleanup__(mutex_scope_leave_), __unused__)) = \
			mutex_scope_enter_(address)
