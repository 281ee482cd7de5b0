/* SPDX-License-Identifier: MIT */
/* Reading and hashing are one task, so that a frame is hashed while it is in the cache of the
 * core that read it.
 *
 * Encoding writes into a spare buffer that belongs to the worker; then slot and worker
 * swap buffers. So a slot needs one buffer, for content and stored frame alike, and
 * nothing is copied.
 *
 * Holes: their content is one buffer of zeroes that all share, and the stored frame of a
 * whole hole is the same every time, so it is made once. Content goes out as zeroes all the
 * same, frames and hashes are like those of a file without holes.
 */
#include "archive/frame_ring.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/file.h"
#include "chunker/frame.h"
#include "chunker/probe.h"
#include "merkle/tree.h"
#include "volume/atom.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUFFER_STEP = 4096, /* bytes: buffers start on pages */
};

/* What each worker has for itself. */
struct ring_worker {
	struct frame_encoder *encoder; /* owned; made by its first task */
	uint8_t *spare;
};

struct frame_ring {
	struct pool *pool;
	struct budget *budget;
	uint32_t frame_size;
	int level;
	struct buffer memory;    /* all buffers */
	uint64_t encoder_memory; /* bytes reserved for encoders */
	struct frame_slot *slots;
	unsigned slot_count;
	struct frame_slot *free; /* list */
	unsigned free_count;
	struct ring_worker *workers; /* by index */
	const uint8_t *zeroes;       /* frame_size of them */
	uint8_t *hole_frame;         /* the stored frame of these; owned */
	size_t hole_frame_size;
};

/* Bytes that an encoder holds at most (chunker/frame.c). */
static uint64_t encoder_size(int level)
{
	if (level <= 4)
		return (level <= 3 ? 1600 : 1900) * 1024;
	return level <= 9 ? 4200 * 1024 : 6000 * 1024;
}

static size_t buffer_step(uint32_t frame_size)
{
	size_t bound = frame_bound(frame_size);

	return (bound + BUFFER_STEP - 1) / BUFFER_STEP * BUFFER_STEP;
}

static int make_hole_frame(struct frame_ring *ring, struct error *err)
{
	autoptr(frame_encoder) encoder = NULL;
	size_t bound = frame_bound(ring->frame_size);
	int r;

	ring->hole_frame = malloc(bound);
	if (!ring->hole_frame)
		return error_set(err, -ENOMEM, "no memory for frames");
	r = frame_encoder_new(ring->level, &encoder, err);
	if (r < 0)
		return r;
	return frame_encode(encoder, ring->zeroes, ring->frame_size, ring->hole_frame,
			    bound, &ring->hole_frame_size, NULL, err);
}

/* Cut the memory into buffers: zeroes, one a worker, one a slot. */
static void hand_out(struct frame_ring *ring)
{
	size_t step = buffer_step(ring->frame_size);
	uint8_t *next = ring->memory.data;

	ring->zeroes = next;
	next += step;
	for (unsigned i = 0; i < pool_threads(ring->pool); i++, next += step)
		ring->workers[i].spare = next;
	for (unsigned i = 0; i < ring->slot_count; i++, next += step) {
		struct frame_slot *slot = &ring->slots[i];

		slot->ring = ring;
		slot->data = next;
		task_group_init(&slot->group);
		slot->next = ring->free;
		ring->free = slot;
	}
	ring->free_count = ring->slot_count;
}

int frame_ring_new(const struct frame_ring_options *options, struct frame_ring **ring_out,
		   struct error *err)
{
	autoptr(frame_ring) ring = calloc(1, sizeof(*ring));
	unsigned workers = pool_threads(options->pool);
	size_t step = buffer_step(options->frame_size);
	unsigned slots = (unsigned)(options->memory / step);
	uint64_t encoders = workers * encoder_size(options->level);
	int r;

	if (slots < options->slots_min)
		slots = options->slots_min;
	if (!ring)
		return error_set(err, -ENOMEM, "no memory for frames");
	ring->pool = options->pool;
	ring->budget = options->budget;
	ring->frame_size = options->frame_size;
	ring->level = options->level;
	r = budget_reserve(ring->budget, encoders, "encoders", err);
	if (r < 0)
		return r;
	ring->encoder_memory = encoders;
	r = buffer_alloc(&ring->memory, ring->budget, (1 + workers + slots) * step,
			 "frames being read", err);
	if (r < 0)
		return r;
	ring->workers = calloc(workers, sizeof(*ring->workers));
	ring->slots = calloc(slots, sizeof(*ring->slots));
	if (!ring->workers || !ring->slots)
		return error_set(err, -ENOMEM, "no memory for frames");
	ring->slot_count = slots;
	hand_out(ring);
	r = make_hole_frame(ring, err);
	if (r < 0)
		return r;
	*ring_out = take_ptr(ring);
	return 0;
}

void frame_ring_free(struct frame_ring *ring)
{
	if (!ring)
		return;
	for (unsigned i = 0; i < ring->slot_count; i++) {
		(void)task_group_wait(&ring->slots[i].group,
				      NULL); /* nobody asks any more */
		task_group_done(&ring->slots[i].group);
	}
	for (unsigned i = 0; ring->workers && i < pool_threads(ring->pool); i++)
		frame_encoder_free(ring->workers[i].encoder);
	free(ring->workers);
	free(ring->slots);
	free(ring->hole_frame);
	buffer_free(&ring->memory);
	budget_release(ring->budget, ring->encoder_memory);
	free(ring);
}

unsigned frame_ring_slots(const struct frame_ring *ring)
{
	return ring->slot_count;
}

unsigned frame_ring_available(const struct frame_ring *ring)
{
	return ring->free_count;
}

struct frame_slot *frame_ring_take(struct frame_ring *ring)
{
	struct frame_slot *slot = ring->free;

	if (!slot)
		return NULL;
	ring->free = slot->next;
	ring->free_count--;
	slot->next = NULL;
	slot->content_size = 0;
	slot->stored_size = 0;
	slot->hole = false;
	slot->stored = false;
	return slot;
}

void frame_ring_release(struct frame_ring *ring, struct frame_slot *slot)
{
	slot->next = ring->free;
	ring->free = slot;
	ring->free_count++;
}

static struct frame_slot *slot_of(struct task *task)
{
	return (struct frame_slot *)((char *)task - offsetof(struct frame_slot, task));
}

static const uint8_t *content(const struct frame_slot *slot)
{
	return slot->hole ? slot->ring->zeroes : slot->data;
}

static int run_hash(struct task *task, unsigned worker, struct error *err)
{
	struct frame_slot *slot = slot_of(task);

	(void)worker;
	(void)err;
	tree_subtree_cv(content(slot), slot->content_size, slot->offset / TREE_CHUNK_SIZE,
			&slot->hash);
	slot->compressible = probe_compressible(content(slot), slot->content_size);
	return 0;
}

static int run_read(struct task *task, unsigned worker, struct error *err)
{
	struct frame_slot *slot = slot_of(task);
	int r;

	r = pread_full(slot->fd, slot->data, slot->content_size, slot->offset, NULL);
	if (r < 0)
		return error_set_errno(err, r, "reading it");
	return run_hash(task, worker, err);
}

/* Leave the content where it is; frame_slot_atom() puts the headers around it. */
static void store(struct frame_slot *slot)
{
	if (slot->hole) /* the rest of one, too short to compress */
		memset(slot->data, 0, slot->content_size);
	slot->stored = true;
	slot->stored_size = (uint32_t)frame_bound(slot->content_size);
	frame_stored_headers(slot->content_size, slot->headers);
}

static int compress(struct frame_slot *slot, struct ring_worker *own, struct error *err)
{
	struct frame_ring *ring = slot->ring;
	uint8_t *encoded = own->spare;
	size_t stored_size;
	int r = 0;

	if (!own->encoder)
		r = frame_encoder_new(ring->level, &own->encoder, err);
	if (r == 0)
		r = frame_compress(own->encoder, content(slot), slot->content_size,
				   encoded, buffer_step(ring->frame_size), &stored_size,
				   err);
	if (r < 0)
		return r;
	if (r == FRAME_STORED) {
		store(slot);
		return 0;
	}
	slot->stored_size = (uint32_t)stored_size;
	own->spare = slot->data;
	slot->data = encoded;
	return 0;
}

static int run_encode(struct task *task, unsigned worker, struct error *err)
{
	struct frame_slot *slot = slot_of(task);
	struct frame_ring *ring = slot->ring;

	if (slot->hole && slot->content_size == ring->frame_size) {
		memcpy(slot->data, ring->hole_frame, ring->hole_frame_size);
		slot->stored_size = (uint32_t)ring->hole_frame_size;
		return 0;
	}
	if (slot->compressible)
		return compress(slot, &ring->workers[worker], err);
	store(slot);
	return 0;
}

static int run_seal(struct task *task, unsigned worker, struct error *err)
{
	struct frame_slot *slot = slot_of(task);

	hash_bytes(content(slot), slot->content_size, &slot->hash);
	slot->compressible = probe_compressible(content(slot), slot->content_size);
	return run_encode(task, worker, err);
}

static void submit(struct frame_slot *slot, task_fn *run)
{
	slot->task.run = run;
	pool_submit(slot->ring->pool, &slot->group, &slot->task);
}

/* Behind all that is short, or that somebody waits for already. */
static void submit_patient(struct frame_slot *slot, task_fn *run)
{
	slot->task.run = run;
	pool_submit_patient(slot->ring->pool, &slot->group, &slot->task);
}

static void place(struct frame_slot *slot, uint64_t offset, uint32_t size)
{
	assert(size >= 1 && size <= slot->ring->frame_size);
	slot->offset = offset;
	slot->content_size = size;
}

void frame_slot_read(struct frame_slot *slot, int fd, uint64_t offset, uint32_t size)
{
	place(slot, offset, size);
	slot->fd = fd;
	submit(slot, run_read);
}

void frame_slot_hash(struct frame_slot *slot, uint64_t offset, uint32_t size)
{
	place(slot, offset, size);
	submit(slot, run_hash);
}

void frame_slot_hash_hole(struct frame_slot *slot, uint64_t offset, uint32_t size)
{
	slot->hole = true;
	frame_slot_hash(slot, offset, size);
}

void frame_slot_encode(struct frame_slot *slot)
{
	if (slot->compressible)
		submit_patient(slot, run_encode);
	else
		store(slot); /* hardly anything to do */
}

void frame_slot_seal(struct frame_slot *slot)
{
	submit(slot, run_seal);
}

void frame_slot_atom(const struct frame_slot *slot, struct atom *atom_out)
{
	const uint8_t *header = slot->headers;
	size_t left = slot->content_size;
	size_t header_size = FRAME_STORED_HEADER;

	*atom_out = (struct atom){ .count = 0 };
	if (!slot->stored) {
		atom_add(atom_out, slot->data, slot->stored_size);
		return;
	}
	for (const uint8_t *block = slot->data; left > 0;) {
		size_t n = left < FRAME_BLOCK_SIZE ? left : FRAME_BLOCK_SIZE;

		atom_add(atom_out, header, header_size);
		atom_add(atom_out, block, n);
		header += header_size;
		header_size = FRAME_STORED_BLOCK_HEADER;
		block += n;
		left -= n;
	}
}

int frame_slot_wait(struct frame_slot *slot, struct error *err)
{
	return task_group_wait(&slot->group, err);
}
