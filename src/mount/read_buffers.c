/* SPDX-License-Identifier: MIT */
#include "mount/read_buffers.h"

#include <stdbool.h>
#include <stdlib.h>

#define SMALL (32u << 10) /* bytes; malloc() is good at these */

void read_buffers_init(struct read_buffers *buffers, size_t size)
{
	*buffers = (struct read_buffers){ .size = size };
	mutex_init(&buffers->mutex);
}

void read_buffers_done(struct read_buffers *buffers)
{
	while (buffers->idle_count > 0)
		free(buffers->idle[--buffers->idle_count]);
	mutex_done(&buffers->mutex);
}

static uint8_t *take_idle(struct read_buffers *buffers)
{
	mutex_scope(&buffers->mutex);

	return buffers->idle_count > 0 ? buffers->idle[--buffers->idle_count] : NULL;
}

uint8_t *read_buffers_take(struct read_buffers *buffers, size_t size)
{
	uint8_t *data;

	if (size <= SMALL || size > buffers->size)
		return malloc(size ? size : 1);
	data = take_idle(buffers);
	return data ? data : malloc(buffers->size);
}

static bool keep(struct read_buffers *buffers, uint8_t *data)
{
	mutex_scope(&buffers->mutex);

	if (buffers->idle_count == READ_BUFFERS_IDLE_MAX)
		return false;
	buffers->idle[buffers->idle_count++] = data;
	return true;
}

void read_buffers_give(struct read_buffers *buffers, uint8_t *data, size_t size)
{
	if (size <= SMALL || size > buffers->size || !keep(buffers, data))
		free(data);
}
