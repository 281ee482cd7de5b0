/* SPDX-License-Identifier: MIT */
#include "archive/change.h"

#include "archive/attributes.h"
#include "archive/link_table.h"

#include <errno.h>
#include <stdlib.h>

int change_new(enum change_kind kind, const uint8_t *key, size_t key_size,
	       const struct source_root *root, struct change **change_out)
{
	autoptr(change) change = calloc(1, sizeof(*change));

	if (!change || bytes_copy(&change->manifest.key, key, key_size) < 0)
		return -ENOMEM;
	change->kind = kind;
	change->root = root;
	*change_out = take_ptr(change);
	return 0;
}

void change_free(struct change *change)
{
	if (!change)
		return;
	manifest_done(&change->manifest);
	if (change->previous)
		manifest_done(change->previous);
	free(change->previous);
	link_unref(change->link);
	free(change);
}

char *change_path(const struct change *change)
{
	const struct bytes *key = &change->manifest.key;
	char *path = NULL;

	if (change->root)
		(void)source_root_path(change->root, key->data, key->size, &path);
	else
		(void)key_to_path(key->data, key->size, &path);
	return path;
}

void change_queue_push(struct change_queue *queue, struct change *change)
{
	change->next = NULL;
	if (queue->last)
		queue->last->next = change;
	else
		queue->first = change;
	queue->last = change;
	queue->count++;
}

struct change *change_queue_take(struct change_queue *queue)
{
	struct change *change = queue->first;

	if (!change || change->waiting > 0)
		return NULL;
	queue->first = change->next;
	if (!queue->first)
		queue->last = NULL;
	queue->count--;
	return change;
}

void change_queue_done(struct change_queue *queue)
{
	while (queue->first) {
		struct change *change = queue->first;

		queue->first = change->next;
		change_free(change);
	}
	*queue = (struct change_queue){ 0 };
}
