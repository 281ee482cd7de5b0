/* SPDX-License-Identifier: MIT */
#pragma once
/* Scope-bound ownership. A variable marked autofree/autoclose/autoptr(T) owns
 * what it points to; take_ptr()/take_fd() hands that ownership on.
 * Never jump over one with goto: clang refuses, gcc 12 only warns and then frees
 * an uninitialised pointer.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_p(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		(void)close(*fd);
		errno = saved;
	}
}

#define autofree __attribute__((__cleanup__(cleanup_free_p)))
#define autoclose __attribute__((__cleanup__(cleanup_close_p)))
#define autoptr(type) __attribute__((__cleanup__(type##_free_p))) struct type *

/* Define the hook that autoptr(type) needs; type##_free(NULL) must be a no-op. */
#define DEFINE_AUTOPTR(type)                              \
	static inline void type##_free_p(struct type **p) \
	{                                                 \
		type##_free(*p);                          \
	}                                                 \
	struct type

#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
