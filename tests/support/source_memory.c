/* SPDX-License-Identifier: MIT */
/* An open hash table whose size is a power of two, at most half full. The hash of a page is
 * its own place in it. */
#include "support/source_memory.h"

#include "base/error.h"
#include "chunker/skippable.h"

#include <assert.h>
#include <string.h>

struct slot {
	struct hash hash;
	struct bytes payload; /* size 0: free, or removed if @used */
	bool used;
};

struct source_memory {
	struct source source;
	struct slot *slots;
	size_t slot_count;
	size_t used_count;
	unsigned reads;
	unsigned writes;
};

static struct source_memory *memory_of(struct source *source)
{
	return (struct source_memory *)source;
}

static const struct source_memory *memory_of_const(const struct source *source)
{
	return (const struct source_memory *)source;
}

static struct slot *find_slot(const struct source_memory *memory, const struct hash *hash)
{
	size_t i;

	memcpy(&i, hash, sizeof(i));
	for (;; i++) {
		struct slot *slot = &memory->slots[i & (memory->slot_count - 1)];

		if (!slot->used || hash_equal(&slot->hash, hash))
			return slot;
	}
}

static int grow(struct source_memory *memory)
{
	struct source_memory bigger = { .slot_count = memory->slot_count * 2 };

	bigger.slots = calloc(bigger.slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < memory->slot_count; i++) {
		if (memory->slots[i].used)
			*find_slot(&bigger, &memory->slots[i].hash) = memory->slots[i];
	}
	free(memory->slots);
	memory->slots = bigger.slots;
	memory->slot_count = bigger.slot_count;
	return 0;
}

int source_memory_put(struct source *source, const struct hash *hash,
		      const uint8_t *payload, size_t size)
{
	struct source_memory *memory = memory_of(source);
	uint8_t *copy = malloc(size + 1);
	struct slot *slot;

	if (!copy)
		return -ENOMEM;
	if (memory->used_count * 2 >= memory->slot_count && grow(memory) < 0) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, payload, size);
	slot = find_slot(memory, hash);
	if (!slot->used)
		memory->used_count++;
	free(slot->payload.data);
	*slot = (struct slot){ *hash, { copy, size }, true };
	return 0;
}

void source_memory_remove(struct source *source, const struct hash *hash)
{
	struct slot *slot = find_slot(memory_of(source), hash);

	assert(slot->payload.data);
	free(slot->payload.data);
	slot->payload = (struct bytes){ 0 };
}

bool source_memory_has(const struct source *source, const struct hash *hash)
{
	return find_slot(memory_of_const(source), hash)->payload.data != NULL;
}

static int take_page(void *context, const struct hash *hash, const uint8_t *atom,
		     size_t size, struct error *err)
{
	struct source_memory *memory = context;
	struct hash real;
	uint32_t payload_size;
	unsigned kind;

	if (skippable_get(atom, size, &kind, &payload_size) < 0 ||
	    (kind != SKIPPABLE_TREE_PAGE && kind != SKIPPABLE_LIST_PAGE) ||
	    payload_size != size - SKIPPABLE_HEADER_SIZE)
		return error_set(err, -EBADMSG, "not the atom of a page");
	hash_bytes(atom + SKIPPABLE_HEADER_SIZE, payload_size, &real);
	if (!hash_equal(&real, hash))
		return error_set(err, -EBADMSG, "not the page's hash");
	if (source_memory_has(&memory->source, hash))
		return error_set(err, -EEXIST, "a page that was there");
	memory->writes++;
	return source_memory_put(&memory->source, hash, atom + SKIPPABLE_HEADER_SIZE,
				 payload_size);
}

struct tree_sink source_memory_sink(struct source *source)
{
	return (struct tree_sink){ take_page, source };
}

unsigned source_memory_reads(const struct source *source)
{
	return memory_of_const(source)->reads;
}

unsigned source_memory_writes(const struct source *source)
{
	return memory_of_const(source)->writes;
}

void source_memory_reset(struct source *source)
{
	memory_of(source)->reads = 0;
	memory_of(source)->writes = 0;
}

static int memory_page(struct source *source, const struct hash *hash,
		       struct bytes *payload_out, struct error *err)
{
	struct source_memory *memory = memory_of(source);
	const struct slot *slot = find_slot(memory, hash);
	uint8_t *copy;

	memory->reads++;
	if (!slot->payload.data)
		return error_set(err, -ENOENT, "no such page");
	copy = malloc(slot->payload.size + 1);
	if (!copy)
		return error_set(err, -ENOMEM, "page");
	memcpy(copy, slot->payload.data, slot->payload.size);
	*payload_out = (struct bytes){ copy, slot->payload.size };
	return 0;
}

static int memory_segment(struct source *source, const struct hash *id, uint64_t index,
			  const struct segment_ref **segment_out, struct error *err)
{
	(void)source;
	(void)id;
	(void)index;
	(void)segment_out;
	return error_set(err, -ENOENT, "no segments here");
}

static void memory_segment_unref(struct source *source, const struct segment_ref *segment)
{
	(void)source;
	(void)segment;
}

static int memory_frames(struct source *source, const struct segment_ref *segment,
			 uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	(void)source;
	(void)segment;
	(void)first;
	(void)count;
	(void)data;
	return error_set(err, -ENOENT, "no segments here");
}

static void memory_free(struct source *source)
{
	struct source_memory *memory = memory_of(source);

	for (size_t i = 0; i < memory->slot_count; i++)
		free(memory->slots[i].payload.data);
	free(memory->slots);
	free(memory);
}

int source_memory_new(struct source **source_out)
{
	static const struct source_ops ops = {
		.page = memory_page,
		.segment = memory_segment,
		.segment_unref = memory_segment_unref,
		.frames = memory_frames,
		.free = memory_free,
	};
	struct source_memory *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	memory->source.ops = &ops;
	memory->slot_count = 64;
	memory->slots = calloc(memory->slot_count, sizeof(*memory->slots));
	if (!memory->slots) {
		free(memory);
		return -ENOMEM;
	}
	*source_out = &memory->source;
	return 0;
}
