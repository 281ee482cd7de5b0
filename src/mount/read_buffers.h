/* SPDX-License-Identifier: MIT */
#pragma once
/* Buffers for the replies to reads. Large ones are kept for the next read: getting them from
 * the system anew costs as much as copying what goes in. Internally locked: any thread.
 */
#include "base/mutex.h"

#include <stddef.h>
#include <stdint.h>

#define READ_BUFFERS_IDLE_MAX 8u

struct read_buffers {
	struct mutex mutex;
	uint8_t *idle[READ_BUFFERS_IDLE_MAX];
	size_t idle_count;
	size_t size; /* bytes of each */
};

/* @size is the largest that will be asked for often. */
void read_buffers_init(struct read_buffers *buffers, size_t size);
void read_buffers_done(struct read_buffers *buffers);

/* NULL: no memory. */
uint8_t *read_buffers_take(struct read_buffers *buffers, size_t size);
/* @size as it was taken. */
void read_buffers_give(struct read_buffers *buffers, uint8_t *data, size_t size);
