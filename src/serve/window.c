/* SPDX-License-Identifier: MIT */
/* There are few windows (32 by default), so they are found by looking at all of them.
 *
 *   IDLE --take--> FILLING --filled--> READY --find--> COPYING --copied--> READY | IDLE
 *   READY --take, by another owner, when it was not touched for a while--> FILLING
 *
 * A client that is merely slower than the medium touches its window with every block that it
 * is sent; only one that takes nothing at all is older than STALLED.
 */
#include "serve/window.h"

#include "base/budget.h"
#include "base/clock.h"
#include "base/mutex.h"

#include <assert.h>

#define BUDGET_SHARE 6u                   /* of the budget, at most */
#define WINDOW_ROOM (WINDOW_SIZE + 4096u) /* with slack, from page to page */
#define COUNT_LEAST 4u                    /* windows */
#define COUNT_MOST 32u                    /* windows */
#define STALLED (UINT64_C(100) * 1000000) /* nanoseconds */

static_assert(READ_PIECES_SLACK <= WINDOW_ROOM - WINDOW_SIZE, "room for the slack");

struct windows {
	struct mutex mutex; /* guards states and owners */
	struct buffer memory;
	unsigned count;
	struct window all[COUNT_MOST];
};

int windows_new(struct budget *budget, struct windows **windows_out, struct error *err)
{
	uint64_t wanted = budget_size(budget) / BUDGET_SHARE / WINDOW_ROOM;
	autoptr(windows) windows = calloc(1, sizeof(*windows));
	int r;

	if (!windows)
		return error_set(err, -ENOMEM, "no memory for a server");
	mutex_init(&windows->mutex);
	windows->count = wanted < COUNT_LEAST  ? COUNT_LEAST
			 : wanted > COUNT_MOST ? COUNT_MOST
					       : (unsigned)wanted;
	r = buffer_alloc(&windows->memory, budget, (size_t)windows->count * WINDOW_ROOM,
			 "reading ahead of clients", err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < windows->count; i++)
		windows->all[i].data = windows->memory.data + (size_t)i * WINDOW_ROOM;
	*windows_out = take_ptr(windows);
	return 0;
}

void windows_free(struct windows *windows)
{
	if (!windows)
		return;
	for (unsigned i = 0; i < windows->count; i++)
		assert(windows->all[i].state == WINDOW_IDLE ||
		       windows->all[i].state == WINDOW_READY);
	buffer_free(&windows->memory);
	mutex_done(&windows->mutex);
	free(windows);
}

static bool holds(const struct window *window, uint64_t offset)
{
	if (offset < window->offset)
		return false;
	if (window->state == WINDOW_FILLING) /* all of it, presumably */
		return offset / WINDOW_SIZE == window->offset / WINDOW_SIZE;
	return offset - window->offset < window->size ||
	       (window->r < 0 && offset - window->offset == window->size);
}

enum window_found windows_find(struct windows *windows, const void *owner,
			       uint64_t offset, struct window **window_out)
{
	mutex_scope(&windows->mutex);

	for (unsigned i = 0; i < windows->count; i++) {
		struct window *window = &windows->all[i];

		if (window->owner != owner || !holds(window, offset))
			continue;
		if (window->state == WINDOW_FILLING)
			return WINDOW_AWAITED;
		assert(window->state == WINDOW_READY);
		window->state = WINDOW_COPYING;
		*window_out = window;
		return WINDOW_FILLED;
	}
	return WINDOW_NONE;
}

/* An idle window, or else the one that has waited longest for its client. */
static struct window *choose_locked(struct windows *windows, uint64_t now)
	requires_mutex(windows->mutex)
{
	struct window *oldest = NULL;

	for (unsigned i = 0; i < windows->count; i++) {
		struct window *window = &windows->all[i];

		if (window->state == WINDOW_IDLE)
			return window;
		if (window->state == WINDOW_READY && now - window->touched >= STALLED &&
		    (!oldest || window->touched < oldest->touched))
			oldest = window;
	}
	return oldest;
}

struct window *windows_take(struct windows *windows, const void *owner, uint64_t offset)
{
	mutex_scope(&windows->mutex);
	struct window *window = choose_locked(windows, clock_monotonic_ns());

	if (!window)
		return NULL;
	window->owner = owner;
	window->offset = offset;
	window->size = 0;
	window->r = 0;
	window->state = WINDOW_FILLING;
	return window;
}

void windows_filled(struct windows *windows, struct window *window)
{
	mutex_scope(&windows->mutex);

	assert(window->state == WINDOW_FILLING);
	window->state = WINDOW_READY;
	window->touched = clock_monotonic_ns();
}

static void make_idle_locked(struct windows *windows, struct window *window)
	requires_mutex(windows->mutex)
{
	(void)windows;
	window->state = WINDOW_IDLE;
	window->owner = NULL;
}

void windows_copied(struct windows *windows, struct window *window, uint64_t offset)
{
	mutex_scope(&windows->mutex);

	assert(window->state == WINDOW_COPYING);
	window->state = WINDOW_READY;
	window->touched = clock_monotonic_ns();
	if (offset - window->offset >= window->size && window->r == 0)
		make_idle_locked(windows, window);
}

void windows_release(struct windows *windows, const void *owner)
{
	mutex_scope(&windows->mutex);

	for (unsigned i = 0; i < windows->count; i++) {
		struct window *window = &windows->all[i];

		if (window->owner != owner)
			continue;
		assert(window->state == WINDOW_READY);
		make_idle_locked(windows, window);
	}
}
