/* SPDX-License-Identifier: MIT */
/* The fake is strict where real media are: alignment of appends is asserted, a failed append
 * leaves the position alone and the backend refuses what follows, nothing is appended after
 * sealing. One mutex makes reads beside appends safe although the bytes may move.
 */
#include "support/backend_memory.h"

#include "base/error.h"
#include "base/mutex.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

struct backend_memory {
	struct backend base;
	struct mutex mutex; /* guards all below */
	uint8_t *data;
	size_t size;     /* bytes in use: the position */
	size_t reserved; /* bytes allocated */
	uint64_t capacity;
	uint64_t synced;
	unsigned calls;
	unsigned fail_at; /* call number, 0 = never */
	int fail_code;
	bool sealed;
	uint64_t bad_offset; /* reads of this range fail */
	uint64_t bad_size;
	uint64_t expected_offset;
	uint64_t expected_size;
	unsigned expected_count;
};

static struct backend_memory *memory_of(struct backend *backend)
{
	return (struct backend_memory *)backend;
}

/* Count a call; fail if its turn has come. */
static int enter(struct backend_memory *memory, struct error *err)
{
	memory->calls++;
	if (memory->fail_at && memory->calls >= memory->fail_at)
		return error_set(err, memory->fail_code, "injected at call %u",
				 memory->calls);
	return 0;
}

/* Grow to @size bytes, zeroed. */
static int grow(struct backend_memory *memory, uint64_t size, struct error *err)
{
	uint8_t *data;
	size_t reserved = memory->reserved ? memory->reserved : 1 << 20;

	if (size > memory->capacity)
		return error_set(err, -ENOSPC, "the memory volume is full");
	while (reserved < size)
		reserved *= 2;
	if (reserved > memory->reserved) {
		data = realloc(memory->data, reserved);
		if (!data)
			return error_set(err, -ENOMEM, "no memory for a volume");
		memory->data = data;
		memory->reserved = reserved;
	}
	memset(memory->data + memory->size, 0, size - memory->size);
	memory->size = size;
	return 0;
}

static void memory_expect(struct backend *backend, uint64_t offset, uint64_t size)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	memory->expected_offset = offset;
	memory->expected_size = size;
	memory->expected_count++;
}

static int memory_append(struct backend *backend, const void *data, size_t size,
			 struct error *err)
{
	struct backend_memory *memory = memory_of(backend);
	size_t position;
	int r;

	mutex_scope(&memory->mutex);
	assert(size % BACKEND_ALIGNMENT == 0 && (uintptr_t)data % BACKEND_ALIGNMENT == 0);
	assert(!memory->sealed);
	r = enter(memory, err);
	if (r < 0)
		return r;
	position = memory->size;
	r = grow(memory, memory->size + size, err);
	if (r < 0)
		return r;
	memcpy(memory->data + position, data, size);
	return 0;
}

static int memory_skip(struct backend *backend, uint64_t size, struct error *err)
{
	struct backend_memory *memory = memory_of(backend);
	int r;

	mutex_scope(&memory->mutex);
	assert(size % BACKEND_ALIGNMENT == 0 && !memory->sealed);
	r = enter(memory, err);
	if (r < 0)
		return r;
	return grow(memory, memory->size + size, err);
}

static int memory_read(struct backend *backend, uint64_t offset, void *data, size_t size,
		       size_t *size_out, struct error *err)
{
	struct backend_memory *memory = memory_of(backend);
	size_t got = 0;

	mutex_scope(&memory->mutex);
	if (memory->bad_size && offset < memory->bad_offset + memory->bad_size &&
	    memory->bad_offset < offset + size)
		return error_set(err, -EIO, "injected read error");
	if (offset < memory->size) {
		got = memory->size - offset < size ? memory->size - offset : size;
		memcpy(data, memory->data + offset, got);
	}
	*size_out = got;
	return 0;
}

static int memory_sync(struct backend *backend, struct error *err)
{
	struct backend_memory *memory = memory_of(backend);
	int r;

	mutex_scope(&memory->mutex);
	r = enter(memory, err);
	if (r < 0)
		return r;
	memory->synced = memory->size;
	return 0;
}

static int memory_seal(struct backend *backend, struct error *err)
{
	struct backend_memory *memory = memory_of(backend);
	int r;

	mutex_scope(&memory->mutex);
	r = enter(memory, err);
	if (r < 0)
		return r;
	memory->synced = memory->size;
	memory->sealed = true;
	return 0;
}

static uint64_t memory_position(struct backend *backend)
{
	return backend_memory_size(backend);
}

static uint64_t memory_capacity(struct backend *backend)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	return memory->capacity;
}

static void memory_free(struct backend *backend)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_done(&memory->mutex);
	free(memory->data);
	free(memory->base.name);
	free(memory);
}

static const struct backend_ops memory_ops = {
	.type = "memory",
	.append = memory_append,
	.skip = memory_skip,
	.read = memory_read,
	.expect = memory_expect,
	.sync = memory_sync,
	.seal = memory_seal,
	.position = memory_position,
	.capacity = memory_capacity,
	.free = memory_free,
};

int backend_memory_new(struct backend **backend_out)
{
	struct backend_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	memory->base.ops = &memory_ops;
	memory->base.name = strdup("memory");
	if (!memory->base.name) {
		free(memory);
		return -ENOMEM;
	}
	mutex_init(&memory->mutex);
	memory->capacity = UINT64_MAX;
	*backend_out = &memory->base;
	return 0;
}

uint8_t *backend_memory_data(struct backend *backend)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	return memory->data;
}

size_t backend_memory_size(struct backend *backend)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	return memory->size;
}

int backend_memory_set(struct backend *backend, const void *data, size_t size)
{
	struct backend_memory *memory = memory_of(backend);
	int r;

	mutex_scope(&memory->mutex);
	memory->size = 0;
	r = grow(memory,
		 (size + BACKEND_ALIGNMENT - 1) / BACKEND_ALIGNMENT * BACKEND_ALIGNMENT,
		 NULL);
	if (r < 0)
		return r;
	memcpy(memory->data, data, size);
	return 0;
}

uint64_t backend_memory_synced(struct backend *backend)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	return memory->synced;
}

unsigned backend_memory_calls(struct backend *backend)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	return memory->calls;
}

void backend_memory_fail_at(struct backend *backend, unsigned call, int code)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	memory->fail_at = call;
	memory->fail_code = code;
}

unsigned backend_memory_expected(struct backend *backend, uint64_t *offset_out,
				 uint64_t *size_out)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	*offset_out = memory->expected_offset;
	*size_out = memory->expected_size;
	return memory->expected_count;
}

void backend_memory_set_capacity(struct backend *backend, uint64_t capacity)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	memory->capacity = capacity;
}

void backend_memory_set_unreadable(struct backend *backend, uint64_t offset,
				   uint64_t size)
{
	struct backend_memory *memory = memory_of(backend);

	mutex_scope(&memory->mutex);
	memory->bad_offset = offset;
	memory->bad_size = size;
}
