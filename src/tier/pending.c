/* SPDX-License-Identifier: MIT */
#include "tier/pending.h"

#include "base/log.h"
#include "tier/group.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int pendings_add(struct pendings *pendings, const struct pending *pending)
{
	if (pendings->count == pendings->capacity) {
		size_t capacity = pendings->capacity ? 2 * pendings->capacity : 64;
		struct pending *items =
			reallocarray(pendings->items, capacity, sizeof(*items));

		if (!items)
			return -ENOMEM;
		pendings->items = items;
		pendings->capacity = capacity;
	}
	pendings->items[pendings->count++] = *pending;
	return 0;
}

struct pending *pendings_find(struct pendings *pendings, uint64_t sequence)
{
	for (size_t i = 0; i < pendings->count; i++)
		if (pendings->items[i].sequence == sequence)
			return &pendings->items[i];
	return NULL;
}

void pendings_answer(struct pendings *pendings, struct pending *pending, int error)
{
	group_answer(pendings->group, pending->fd, error);
	(void)close(pending->fd);
	*pending = pendings->items[--pendings->count];
}

void pendings_answer_all(struct pendings *pendings, int error)
{
	while (pendings->count > 0)
		pendings_answer(pendings, &pendings->items[pendings->count - 1], error);
}

void pendings_expire(struct pendings *pendings, uint64_t now)
{
	for (size_t i = pendings->count; i-- > 0;) {
		if (pendings->items[i].deadline > now)
			continue;
		log_warn("process %d waited too long for a file of the hot tier",
			 pendings->items[i].pid);
		pendings_answer(pendings, &pendings->items[i], EAGAIN);
	}
}

void pendings_abandon(struct pendings *pendings)
{
	for (size_t i = 0; i < pendings->count; i++)
		(void)close(pendings->items[i].fd);
	free(pendings->items);
	*pendings = (struct pendings){ .group = pendings->group };
}
