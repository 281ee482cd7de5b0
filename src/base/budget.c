/* SPDX-License-Identifier: MIT */
/* A budget is one counter under a lock. It counts what callers say, not what malloc does:
 * small structures are free, whatever grows with data is announced.
 *
 * Buffers are anonymous mappings, not malloc'ed: their alignment suits O_DIRECT, and they
 * go back to the system at once, so that the resident size follows the budget.
 */
#include "base/budget.h"

#include "base/mutex.h"
#include "base/size.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct budget {
	uint64_t size;      /* immutable */
	struct mutex mutex; /* guards used; innermost lock */
	uint64_t used;
};

int budget_new(uint64_t size, struct budget **budget_out)
{
	struct budget *budget = calloc(1, sizeof(*budget));

	if (!budget)
		return -ENOMEM;
	budget->size = size;
	mutex_init(&budget->mutex);
	*budget_out = budget;
	return 0;
}

void budget_free(struct budget *budget)
{
	if (!budget)
		return;
	assert(budget->used == 0);
	mutex_done(&budget->mutex);
	free(budget);
}

/* Reserve, or tell how much is left in *left_out. */
static int try_reserve(struct budget *budget, uint64_t size, uint64_t *left_out)
{
	mutex_scope(&budget->mutex);
	*left_out = budget->size - budget->used;
	if (size > *left_out)
		return -ENOMEM;
	budget->used += size;
	return 0;
}

int budget_reserve(struct budget *budget, uint64_t size, const char *what,
		   struct error *err)
{
	char wanted[SIZE_TEXT_MAX];
	char rest[SIZE_TEXT_MAX];
	char total[SIZE_TEXT_MAX];
	uint64_t left;
	int r;

	r = try_reserve(budget, size, &left);
	if (r < 0)
		return error_set(
			err, r,
			"no memory for %s: want %s, %s of %s left ([limits] memory)",
			what, size_format(size, wanted), size_format(left, rest),
			size_format(budget->size, total));
	return 0;
}

void budget_release(struct budget *budget, uint64_t size)
{
	mutex_scope(&budget->mutex);
	assert(size <= budget->used);
	budget->used -= size;
}

uint64_t budget_size(const struct budget *budget)
{
	return budget->size;
}

uint64_t budget_available(struct budget *budget)
{
	mutex_scope(&budget->mutex);
	return budget->size - budget->used;
}

/* @size in whole pages. The caller has checked that this does not overflow. */
static size_t round_up(size_t size)
{
	return (size + BUFFER_ALIGNMENT - 1) / BUFFER_ALIGNMENT * BUFFER_ALIGNMENT;
}

int buffer_alloc(struct buffer *buffer, struct budget *budget, size_t size,
		 const char *what, struct error *err)
{
	size_t rounded;
	void *data;
	int r;

	assert(size > 0);
	if (size > SIZE_MAX / 2)
		return error_set(err, -ENOMEM, "no memory for %s: size out of range",
				 what);
	rounded = round_up(size);

	r = budget_reserve(budget, rounded, what, err);
	if (r < 0)
		return r;
	data = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (data == MAP_FAILED) {
		r = -errno;
		budget_release(budget, rounded);
		return error_set_errno(err, r, "no memory for %s", what);
	}

	*buffer = (struct buffer){ .data = data, .size = size, .budget = budget };
	return 0;
}

void buffer_free(struct buffer *buffer)
{
	int saved = errno;

	if (!buffer->data)
		return;
	(void)munmap(buffer->data, round_up(buffer->size));
	budget_release(buffer->budget, round_up(buffer->size));
	*buffer = (struct buffer){ 0 };
	errno = saved;
}
