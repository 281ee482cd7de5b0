/* SPDX-License-Identifier: MIT */
/* An array that is searched: each search is a few microseconds for a thousand who wait, and a
 * recall takes milliseconds.
 */
#include "tier/recall_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct recall_place *a, const struct recall_place *b)
{
	int order = memcmp(&a->volume, &b->volume, sizeof(a->volume));

	return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

/* ---- users ---- */

/* The number of users that have recalls under way: @user has none. */
static size_t find_user(const struct recall_queue *queue, uid_t user)
{
	size_t i = 0;

	while (i < queue->user_count && queue->users[i].user != user)
		i++;
	return i;
}

static bool may_run(const struct recall_queue *queue, uid_t user)
{
	size_t i = find_user(queue, user);

	return i == queue->user_count || queue->users[i].running < queue->user_max;
}

static void start(struct recall_queue *queue, uid_t user)
{
	size_t i = find_user(queue, user);

	assert(i < RECALLS_MAX);
	if (i == queue->user_count)
		queue->users[queue->user_count++] = (struct recall_user){ .user = user };
	queue->users[i].running++;
}

void recall_queue_finish(struct recall_queue *queue, uid_t user)
{
	size_t i = find_user(queue, user);

	assert(i < queue->user_count);
	if (--queue->users[i].running == 0)
		queue->users[i] = queue->users[--queue->user_count];
}

/* ---- the queue ---- */

int recall_queue_add(struct recall_queue *queue, const struct recall_wish *wish)
{
	if (queue->count == queue->capacity) {
		size_t capacity = queue->capacity ? 2 * queue->capacity : 64;
		struct recall_wish *items =
			reallocarray(queue->items, capacity, sizeof(*items));

		if (!items)
			return -ENOMEM;
		queue->items = items;
		queue->capacity = capacity;
	}
	queue->items[queue->count++] = *wish;
	return 0;
}

/* Whether @a comes before @b. */
static bool is_nearer(const struct recall_queue *queue, const struct recall_place *a,
		      const struct recall_place *b)
{
	bool a_behind = compare(a, &queue->last) >= 0;
	bool b_behind = compare(b, &queue->last) >= 0;

	return a_behind != b_behind ? a_behind : compare(a, b) < 0;
}

/* The others stay in the order in which they came: it decides where places are the same, and
 * unknown ones all are. */
static void remove_wish(struct recall_queue *queue, struct recall_wish *wish)
{
	size_t behind = queue->count - (size_t)(wish - queue->items) - 1;

	memmove(wish, wish + 1, behind * sizeof(*wish));
	queue->count--;
}

bool recall_queue_take(struct recall_queue *queue, struct recall_wish *wish_out)
{
	struct recall_wish *best = NULL;

	for (size_t i = 0; i < queue->count; i++) {
		struct recall_wish *wish = &queue->items[i];

		if (best && !is_nearer(queue, &wish->place, &best->place))
			continue;
		if (may_run(queue, wish->user))
			best = wish;
	}
	if (!best)
		return false;
	queue->last = best->place;
	*wish_out = *best;
	remove_wish(queue, best);
	start(queue, wish_out->user);
	return true;
}

void recall_queue_done(struct recall_queue *queue)
{
	free(queue->items);
	*queue = (struct recall_queue){ .user_max = queue->user_max };
}
