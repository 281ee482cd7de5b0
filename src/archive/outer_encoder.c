/* SPDX-License-Identifier: MIT */
/* Two windows take turns. Reading one is a task for each member; coding one is a task for
 * each 64 KiB of it, over all members, so that the sums stay in the cache of the core that
 * adds them up. A member that is shorter than the shard goes on with zeroes, which add
 * nothing.
 */
#include "archive/outer_encoder.h"

#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/pool.h"
#include "chunker/parity.h"

#include <string.h>

#define WINDOW_CHUNKS_MAX 4u
#define SLICE_SIZE 65536u /* bytes of each shard that a task codes */
#define SLICES_MAX (WINDOW_CHUNKS_MAX * GROUP_CHUNK_SIZE / SLICE_SIZE)

struct window;

struct read_task {
	struct task task;
	struct window *window;
	unsigned member;
};

struct slice_task {
	struct task task;
	struct window *window;
	size_t offset;
};

struct window {
	struct outer_encoder *encoder;
	struct buffer buffer; /* k + p shards */
	uint64_t offset;      /* in the shard */
	size_t size;          /* bytes; 0: nothing was submitted */
	struct task_group group;
	struct read_task reads[GROUP_DATA_MAX];
	struct slice_task slices[SLICES_MAX];
	uint8_t *parity[GROUP_PARITY_MAX];
};

struct outer_encoder {
	const struct group *group;
	struct volume_set *volumes;
	struct pool *pool;
	struct parity *code;
	size_t shard_size; /* bytes of a window's buffer for each shard */
	uint64_t next;     /* offset of the next window to read */
	unsigned turn;     /* the window that is to be given out next */
	struct window windows[2];
};

static uint8_t *shard_at(struct window *window, unsigned shard)
{
	return window->buffer.data + shard * window->encoder->shard_size;
}

/* Bytes of @member in the window. */
static size_t member_part(const struct window *window, unsigned member)
{
	uint64_t size = window->encoder->group->members[member].log_size;

	if (size <= window->offset)
		return 0;
	size -= window->offset;
	return size < window->size ? (size_t)size : window->size;
}

static int run_read(struct task *task, unsigned worker, struct error *err)
{
	struct read_task *read = (struct read_task *)task;
	struct window *window = read->window;
	struct outer_encoder *encoder = window->encoder;
	const struct group_member *member = &encoder->group->members[read->member];
	size_t size = member_part(window, read->member);

	(void)worker;
	if (size == 0)
		return 0;
	return volume_set_read(encoder->volumes, &member->volume,
			       member->log_start + window->offset,
			       shard_at(window, read->member), size, err);
}

static int run_slice(struct task *task, unsigned worker, struct error *err)
{
	struct slice_task *slice = (struct slice_task *)task;
	struct window *window = slice->window;
	const struct group *group = window->encoder->group;
	uint8_t *sums[GROUP_PARITY_MAX];
	size_t left = window->size - slice->offset;

	(void)worker;
	(void)err;
	if (left > SLICE_SIZE)
		left = SLICE_SIZE;
	for (unsigned i = 0; i < group->parity; i++) {
		sums[i] = window->parity[i] + slice->offset;
		memset(sums[i], 0, left);
	}
	for (unsigned i = 0; i < group->member_count; i++) {
		size_t part = member_part(window, i);

		if (part <= slice->offset)
			continue;
		part -= slice->offset;
		parity_update(window->encoder->code, i,
			      shard_at(window, i) + slice->offset,
			      part < left ? part : left, sums);
	}
	return 0;
}

/* Begin to read the next part of the members into @window. */
static void submit_reads(struct outer_encoder *encoder, struct window *window)
{
	uint64_t left = encoder->group->size - encoder->next;

	window->offset = encoder->next;
	window->size = left < encoder->shard_size ? (size_t)left : encoder->shard_size;
	encoder->next += window->size;
	if (window->size == 0)
		return;
	for (unsigned i = 0; i < encoder->group->member_count; i++) {
		window->reads[i] = (struct read_task){ { .run = run_read }, window, i };
		pool_submit(encoder->pool, &window->group, &window->reads[i].task);
	}
}

static int code_window(struct outer_encoder *encoder, struct window *window,
		       struct error *err)
{
	for (size_t i = 0; i * SLICE_SIZE < window->size; i++) {
		window->slices[i] = (struct slice_task){ { .run = run_slice },
							 window,
							 i * SLICE_SIZE };
		pool_submit(encoder->pool, &window->group, &window->slices[i].task);
	}
	return task_group_wait(&window->group, err);
}

int outer_encoder_next(struct outer_encoder *encoder, struct outer_window *window_out,
		       struct error *err)
{
	struct window *window = &encoder->windows[encoder->turn];
	struct window *other = &encoder->windows[!encoder->turn];
	uint64_t read = 0;
	int r;

	r = task_group_wait(&window->group, err);
	if (r < 0)
		return r;
	r = code_window(encoder, window, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < encoder->group->member_count; i++)
		read += member_part(window, i);
	submit_reads(encoder, other); /* the caller is done with it */
	encoder->turn = !encoder->turn;
	*window_out = (struct outer_window){ window->offset, window->size, window->parity,
					     read };
	return 0;
}

static int init_window(struct outer_encoder *encoder, struct window *window,
		       struct budget *budget, struct error *err)
{
	const struct group *group = encoder->group;
	unsigned shards = group->data + group->parity;
	int r;

	r = buffer_alloc(&window->buffer, budget, shards * encoder->shard_size,
			 "members of a group", err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < group->parity; i++)
		window->parity[i] = shard_at(window, group->data + i);
	return 0;
}

int outer_encoder_new(const struct group *group, struct volume_set *volumes,
		      struct pool *pool, struct budget *budget,
		      struct outer_encoder **encoder_out, struct error *err)
{
	autoptr(outer_encoder) encoder = calloc(1, sizeof(*encoder));
	unsigned chunks = WINDOW_CHUNKS_MAX;
	int r;

	if (!encoder)
		return error_set(err, -ENOMEM, "no memory for a group");
	while (chunks > 1 &&
	       2ull * (group->data + group->parity) * chunks * GROUP_CHUNK_SIZE >
		       budget_available(budget) / 2)
		chunks--;
	encoder->group = group;
	encoder->volumes = volumes;
	encoder->pool = pool;
	encoder->shard_size = chunks * GROUP_CHUNK_SIZE;
	for (unsigned i = 0; i < 2; i++) {
		encoder->windows[i].encoder = encoder;
		task_group_init(&encoder->windows[i].group);
	}
	r = parity_new(group->data, group->parity, &encoder->code, err);
	for (unsigned i = 0; i < 2 && r == 0; i++)
		r = init_window(encoder, &encoder->windows[i], budget, err);
	if (r < 0)
		return r;
	submit_reads(encoder, &encoder->windows[0]);
	*encoder_out = take_ptr(encoder);
	return 0;
}

void outer_encoder_free(struct outer_encoder *encoder)
{
	if (!encoder)
		return;
	for (unsigned i = 0; i < 2; i++) {
		if (!encoder->windows[i].encoder)
			continue;
		(void)task_group_wait(&encoder->windows[i].group, NULL); /* reads ahead */
		task_group_done(&encoder->windows[i].group);
		buffer_free(&encoder->windows[i].buffer);
	}
	parity_free(encoder->code);
	free(encoder);
}
