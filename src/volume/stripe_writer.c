/* SPDX-License-Identifier: MIT */
/* Three things happen at once to three extents in a row:
 *
 *     extent i + 1   being filled by the caller, its leaves not yet with the pool
 *     extent i       closed; the pool hashes and encodes its last leaves
 *     extent i - 1   on its way to the medium, by the write queue
 *
 * and there are two buffers, so the caller waits for i - 1 before it begins i + 1.
 *
 * All extents add to the same rows of the same sums, so leaves of i + 1 go to the pool only
 * after those of i are done (settle()); meanwhile the caller goes on copying. At the end
 * of a stripe the sums themselves are written. The next stripe's first extent may be
 * filled in that time, but its leaves are held back until the sums are free (take_sums()).
 *
 * What jobs read (builds, extents) is not changed by the caller before they left the queue.
 * Two builds alternate: one stripe is being filled while the one before is still queued.
 */
#include "volume/stripe_writer.h"

#include "base/error.h"
#include "chunker/parity.h"

#include <assert.h>

struct extent_slot {
	struct write_job job;
	struct stripe_writer *writer;
	struct stripe_build *build;
	struct extent extent;
};

struct build_slot {
	struct write_job job; /* writes the parity */
	struct stripe_writer *writer;
	struct stripe_build build;
	struct parity *code; /* owned */
	unsigned data_count;
	uint32_t rows;
};

struct stripe_writer {
	struct stripe_writer_setup setup;
	struct extent_slot slots[2];
	struct build_slot builds[2];
	struct extent *sums; /* m of them */
	unsigned frames; /* the buffers are for extents up to this; 0 = there are none */

	unsigned build_index;        /* of the open or last stripe */
	unsigned slot_index;         /* of the extent being filled, or the last */
	bool open;                   /* a stripe is */
	bool owns_sums;              /* the open stripe's leaves may be added up */
	struct extent_info *extents; /* of the open stripe; owned */
	struct extent_slot *filling; /* NULL before the stripe's first atom */
	struct extent_slot *closing; /* all of it is with the pool; NULL if queued */
	unsigned extent_count;       /* begun in the open stripe */
	uint64_t closed_area;        /* bytes of area in its closed extents */
	uint32_t rows;               /* the longest of them */
};

static int run_extent_job(struct write_job *job, struct error *err)
{
	struct extent_slot *slot = (struct extent_slot *)job;

	return stripe_build_data(slot->build, &slot->extent, slot->writer->setup.end,
				 err);
}

static int run_parity_job(struct write_job *job, struct error *err)
{
	struct build_slot *slot = (struct build_slot *)job;

	return stripe_build_parity(&slot->build, slot->data_count, slot->rows,
				   slot->writer->setup.end, err);
}

uint64_t stripe_writer_memory(unsigned frames, unsigned parity)
{
	struct geometry geometry = { .data = 1, .parity = parity, .frames = frames };

	return 2 * geometry_data_extent_size(&geometry) +
	       parity * geometry_parity_extent_size(&geometry);
}

int stripe_writer_new(const struct stripe_writer_setup *setup,
		      struct stripe_writer **writer_out, struct error *err)
{
	struct stripe_writer *writer = calloc(1, sizeof(*writer));
	struct extent *sums = calloc(setup->parity + 1, sizeof(*sums)); /* never empty */

	if (!writer || !sums) {
		free(writer);
		free(sums);
		return error_set(err, -ENOMEM, "no memory for a stripe writer");
	}
	writer->setup = *setup;
	writer->sums = sums;
	for (unsigned i = 0; i < 2; i++) {
		writer->slots[i].job.run = run_extent_job;
		writer->slots[i].writer = writer;
		writer->builds[i].job.run = run_parity_job;
		writer->builds[i].writer = writer;
	}
	*writer_out = writer;
	return 0;
}

void stripe_writer_release(struct stripe_writer *writer)
{
	for (unsigned i = 0; i < 2; i++) {
		struct extent *extent = &writer->slots[i].extent;

		if (extent->entries) /* after a failure tasks may be left */
			(void)task_group_wait(&extent->group, NULL);
		extent_free(extent);
	}
	for (unsigned j = 0; j < writer->setup.parity; j++)
		extent_free(&writer->sums[j]);
	writer->frames = 0;
}

void stripe_writer_free(struct stripe_writer *writer)
{
	if (!writer)
		return;
	(void)write_queue_drain(writer->setup.queue, NULL); /* the caller knows */
	stripe_writer_release(writer);
	for (unsigned i = 0; i < 2; i++)
		parity_free(writer->builds[i].code);
	free(writer->extents);
	free(writer->sums);
	free(writer);
}

static int alloc_buffers(struct stripe_writer *writer, const struct geometry *geometry,
			 struct error *err)
{
	struct budget *budget = writer->setup.budget;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 2; i++)
		r = extent_alloc(&writer->slots[i].extent, budget, geometry, false, err);
	for (unsigned j = 0; r == 0 && j < writer->setup.parity; j++)
		r = extent_alloc(&writer->sums[j], budget, geometry, true, err);
	if (r == 0)
		writer->frames = geometry->frames;
	return r;
}

/* Have buffers for @geometry: they grow with the stripes. */
static int reserve_buffers(struct stripe_writer *writer, const struct geometry *geometry,
			   struct error *err)
{
	int r;

	if (writer->frames >= geometry->frames)
		return 0;
	r = write_queue_drain(writer->setup.queue, err);
	if (r < 0)
		return r;
	stripe_writer_release(writer);
	return alloc_buffers(writer, geometry, err);
}

/* The code of @build for @geometry. */
static int reserve_code(struct build_slot *slot, const struct geometry *geometry,
			struct error *err)
{
	struct parity *code;
	int r;

	if (slot->code && parity_data_count(slot->code) == geometry->data)
		return 0;
	r = parity_new(geometry->data, geometry->parity, &code, err);
	if (r < 0)
		return r;
	parity_free(slot->code);
	slot->code = code;
	return 0;
}

int stripe_writer_open(struct stripe_writer *writer, const struct stripe_info *info,
		       struct error *err)
{
	struct build_slot *slot = &writer->builds[writer->build_index ^ 1];
	autofree struct extent_info *extents = NULL;
	int r;

	assert(!writer->open && info->geometry.parity == writer->setup.parity);
	r = reserve_buffers(writer, &info->geometry, err);
	if (r < 0)
		return r;
	write_queue_wait(writer->setup.queue, &slot->job);
	r = reserve_code(slot, &info->geometry, err);
	if (r < 0)
		return r;
	extents = calloc(info->geometry.data + info->geometry.parity, sizeof(*extents));
	if (!extents)
		return error_set(err, -ENOMEM, "no memory for a stripe");

	slot->build = (struct stripe_build){
		.backend = writer->setup.backend,
		.pool = writer->setup.pool,
		.volume = writer->setup.volume,
		.info = *info,
		.extents = extents,
		.sums = { slot->code, writer->sums, info->geometry.parity },
	};
	writer->extents = take_ptr(extents);
	writer->build_index ^= 1;
	writer->open = true;
	writer->owns_sums = false;
	writer->filling = NULL;
	writer->extent_count = 0;
	writer->closed_area = 0;
	writer->rows = 0;
	return 0;
}

bool stripe_writer_is_open(const struct stripe_writer *writer)
{
	return writer->open;
}

bool stripe_writer_fits(const struct stripe_writer *writer, size_t size)
{
	return writer->filling && extent_fits(&writer->filling->extent, size);
}

void stripe_writer_fill(const struct stripe_writer *writer, struct stripe_fill *fill_out)
{
	*fill_out = (struct stripe_fill){
		.geometry = writer->builds[writer->build_index].build.info.geometry,
		.extents = writer->extent_count,
		.filled = writer->filling ? writer->filling->extent.payload_size : 0,
		.closed_area = writer->closed_area,
		.rows = writer->rows,
	};
}

/* Queue the extent whose last leaves are with the pool, once those are done. */
static int settle(struct stripe_writer *writer, struct error *err)
{
	struct extent_slot *slot = writer->closing;
	int r;

	if (!slot)
		return 0;
	writer->closing = NULL;
	r = task_group_wait(&slot->extent.group, err);
	if (r < 0)
		return r;
	write_queue_push(writer->setup.queue, &slot->job);
	return 0;
}

/* Make the sums the open stripe's. False if the stripe before still needs them, unless
 * @wait. */
static bool take_sums(struct stripe_writer *writer, bool wait)
{
	struct build_slot *before = &writer->builds[writer->build_index ^ 1];

	if (writer->owns_sums)
		return true;
	if (wait)
		write_queue_wait(writer->setup.queue, &before->job);
	else if (write_queue_pending(writer->setup.queue, &before->job))
		return false;
	stripe_build_begin(&writer->builds[writer->build_index].build);
	writer->owns_sums = true;
	return true;
}

/* Give the pool what it can take. */
static int submit_ready(struct stripe_writer *writer, struct error *err)
{
	struct extent *extent = &writer->filling->extent;
	int r;

	if (!extent_has_work(extent) || !take_sums(writer, false))
		return 0;
	r = settle(writer, err);
	if (r < 0)
		return r;
	extent_submit(extent, writer->setup.pool);
	return 0;
}

/* The jobs only add the hashes. */
static void note_sizes(struct stripe_writer *writer, const struct extent *extent)
{
	struct extent_info *info = &writer->extents[extent->shard];

	info->payload_size = extent->payload_size;
	info->area_size = extent->area_size;
	writer->closed_area += extent->area_size;
	if (extent->area_size > writer->rows)
		writer->rows = extent->area_size;
}

/* Close the extent being filled; it becomes the closing one. */
static int close_extent(struct stripe_writer *writer, bool last, struct error *err)
{
	struct extent_slot *slot = writer->filling;
	int r;

	extent_close(&slot->extent, last && writer->setup.parity == 0);
	(void)take_sums(writer, true);
	r = settle(writer, err);
	if (r < 0)
		return r;
	extent_submit_rest(&slot->extent, writer->setup.pool);
	note_sizes(writer, &slot->extent);
	writer->closing = slot;
	writer->filling = NULL;
	return 0;
}

static int begin_extent(struct stripe_writer *writer, struct error *err)
{
	struct build_slot *build = &writer->builds[writer->build_index];
	struct extent_slot *slot = &writer->slots[writer->slot_index ^ 1];
	unsigned fresh_row = (writer->rows + LEAF_SIZE - 1) / LEAF_SIZE;

	assert(writer->extent_count < build->build.info.geometry.data);
	write_queue_wait(writer->setup.queue, &slot->job);
	writer->slot_index ^= 1;
	slot->build = &build->build;
	extent_begin(&slot->extent, &build->build.info.geometry, writer->extent_count,
		     &build->build.sums, fresh_row);
	writer->filling = slot;
	writer->extent_count++;
	return write_queue_check(writer->setup.queue, err);
}

int stripe_writer_append(struct stripe_writer *writer, const struct atom *atom,
			 struct error *err)
{
	int r;

	assert(writer->open);
	if (!stripe_writer_fits(writer, atom->size)) {
		if (writer->filling) {
			r = close_extent(writer, false, err);
			if (r < 0)
				return r;
		}
		r = begin_extent(writer, err);
		if (r < 0)
			return r;
	}
	extent_append(&writer->filling->extent, atom);
	return submit_ready(writer, err);
}

int stripe_writer_close(struct stripe_writer *writer, struct stripe_info *info_out,
			struct error *err)
{
	struct build_slot *slot = &writer->builds[writer->build_index];
	struct stripe_info info = slot->build.info;
	int r;

	assert(writer->open && writer->filling);
	r = close_extent(writer, true, err);
	if (r < 0)
		return r;
	r = settle(writer, err);
	if (r < 0)
		return r;
	for (unsigned j = 0; j < writer->setup.parity; j++)
		writer->extents[writer->extent_count + j].area_size = writer->rows;
	slot->data_count = writer->extent_count;
	slot->rows = writer->rows;
	write_queue_push(writer->setup.queue, &slot->job); /* without parity: a marker */

	info.data_count = writer->extent_count;
	info.extents = take_ptr(writer->extents);
	writer->open = false;
	*info_out = info;
	return 0;
}
