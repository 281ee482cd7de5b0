/* SPDX-License-Identifier: MIT */
/* Durable steps, and what the next run finds after each:
 *
 *     some chunks of a shard              a tail, or parity that nothing lists: never read
 *     the record that lists a shard       the group, which may lack its other shards: they
 *                                         are made again (protect.c), on other volumes
 *     all records                         a complete group
 *
 * A shard is listed only when all its bytes are durable, as with everything in a record.
 */
#include "archive/protect_group.h"

#include "archive/archive.h"
#include "archive/outer_encoder.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "catalog/catalog.h"

#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define PAUSE_MAX (NS_PER_S / 5) /* between two looks whether to stop */

/* The runs of the shard that goes to each lane. */
struct shards {
	struct group items[GROUP_PARITY_MAX];
	unsigned count;
};

static void shards_done(struct shards *shards)
{
	for (unsigned i = 0; i < shards->count; i++)
		group_done(&shards->items[i]);
}
#define autoshards __attribute__((__cleanup__(shards_done)))

bool protect_is_stopped(const struct protect *protect)
{
	const struct protect_options *options = protect->options;

	return options->stopped && options->stopped(options->context);
}

/* Wait until the bytes read so far are due. */
static void keep_rate(const struct protect *protect)
{
	uint64_t rate = protect->options->rate;
	uint64_t due = 0;

	if (rate > 0)
		due = protect->started +
		      (uint64_t)((double)protect->report.read / (double)rate * 1e9);
	for (;;) {
		uint64_t now = clock_monotonic_ns();
		struct timespec pause = { 0 };

		if (now >= due || protect_is_stopped(protect))
			return;
		pause.tv_nsec = (long)(due - now < PAUSE_MAX ? due - now : PAUSE_MAX);
		(void)nanosleep(&pause, NULL); /* the clock is asked again */
	}
}

static void tell_progress(const struct protect *protect)
{
	const struct protect_options *options = protect->options;

	if (options->progress)
		options->progress(options->context, protect->report.read, protect->total);
}

void protect_leave_out(struct protect *protect, const struct error *why)
{
	if (!protect->unreadable && protect->left_out == 0)
		protect->why = *why;
	protect->unreadable = true;
}

int protect_finish(struct protect *protect, int r, struct error *err)
{
	struct catalog *catalog = archive_catalog(protect->archive);

	if (r == -EBADMSG) {
		int committed = catalog_commit(catalog, NULL);

		return committed < 0 ? committed : r;
	}
	if (r < 0) {
		catalog_rollback(catalog);
		return r;
	}
	crash_point("archive.protect.listed");
	return catalog_commit(catalog, err);
}

static int append_window(struct outer_lanes *lanes, const struct group *group,
			 const struct outer_window *window, struct shards *shards,
			 struct error *err)
{
	uint64_t chunk = window->offset / GROUP_CHUNK_SIZE;

	for (size_t done = 0; done < window->size; done += GROUP_CHUNK_SIZE, chunk++) {
		uint32_t size = group_chunk_size(group->size, chunk);

		for (unsigned i = 0; i < lanes->count; i++) {
			struct group *shard = &shards->items[i];
			int r = outer_lanes_append(lanes, i,
						   window->parity[shard->number] + done,
						   size, shard, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int append_all(struct protect *protect, struct outer_lanes *lanes,
		      const struct group *group, struct shards *shards, struct error *err)
{
	autoptr(outer_encoder) encoder = NULL;
	struct outer_window window = { 0 };
	int r;

	r = outer_encoder_new(group, archive_volumes(protect->archive),
			      archive_pool(protect->archive),
			      archive_budget(protect->archive), &encoder, err);
	while (r == 0) {
		r = outer_encoder_next(encoder, &window, err);
		if (r < 0 || window.size == 0)
			break;
		r = append_window(lanes, group, &window, shards, err);
		protect->report.read += window.read;
		protect->report.written += lanes->count * window.size;
		tell_progress(protect);
		keep_rate(protect);
		if (r == 0 && protect_is_stopped(protect))
			r = error_set(err, -EINTR, "stopped");
		crash_point("archive.protect.window");
	}
	return r;
}

static int init_shards(const struct group *group, const unsigned *numbers, unsigned count,
		       struct shards *shards, struct error *err)
{
	for (unsigned i = 0; i < count; i++) {
		struct group *shard = &shards->items[shards->count++];

		shard->data = group->data;
		shard->parity = group->parity;
		shard->size = group->size;
		shard->number = numbers[i];
		if (group_copy_members(group, shard) < 0)
			return error_set(err, -ENOMEM, "no memory for a group");
	}
	return 0;
}

int protect_group(struct protect *protect, struct outer_lanes *lanes,
		  const struct group *group, const unsigned *numbers, struct error *err)
{
	autoshards struct shards shards = { 0 };
	int r;

	r = init_shards(group, numbers, lanes->count, &shards, err);
	if (r == 0)
		r = append_all(protect, lanes, group, &shards, err);
	for (unsigned i = 0; r == 0 && i < lanes->count; i++) {
		r = outer_lanes_place(lanes, i, &shards.items[i], err);
		crash_point("archive.protect.placed");
	}
	return r;
}
