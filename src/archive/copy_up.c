/* SPDX-License-Identifier: MIT */
/* Copies are appended as commits are: through lanes, into ordinary stripes that records list.
 * So a kill at any step leaves what records list, which the next opening takes in, and a
 * tail; the next run goes on with what is missing then. Nothing here needs a journal.
 *
 * What is missing is collected in batches, since the catalog's table of places changes while
 * copies are made; each batch begins behind the last thing of the one before.
 *
 * A lane's volume that has missed commits gets, in this order: segments, pages, heads of the
 * commits that no volume of its place knows, oldest first, and the tree and the head of the
 * last one. Each head is in a placement record of its own; a rebuild from this place alone
 * then knows every commit.
 */
#include "archive/copy_up.h"

#include "archive/appender.h"
#include "archive/archive.h"
#include "archive/lane.h"
#include "archive/lock.h"
#include "archive/places.h"
#include "archive/replay.h"
#include "archive/source.h"
#include "archive/source_local.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "chunker/segment.h"
#include "chunker/segment_table.h"
#include "chunker/skippable.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1024u /* things */

struct thing {
	struct hash id;
	uint64_t index;
	uint8_t kind; /* of a page */
	struct copy_set set;
};

struct copying {
	const struct copy_up_options *options;
	struct archive *archive;
	struct catalog *catalog;
	struct copy_up_report *report;
	struct copies copies;
	struct appender *appender;
	struct volume_set *volumes;
	struct source *source; /* sees what the transaction knows */
	struct thing *batch;
	size_t count;
	bool more; /* the batch is full */
};

/* ---- what is missing ---- */

static bool is_missing(const struct copying *copying, const struct thing *thing)
{
	return copies_count(&thing->set) < copying->copies.wanted;
}

/* The next place that is visited, of the same thing as the last one or of another. */
static int add_place(struct copying *copying, const struct hash *id, uint64_t index,
		     uint8_t kind, const struct uuid *volume)
{
	struct thing *last = copying->count ? &copying->batch[copying->count - 1] : NULL;

	if (!last || !hash_equal(&last->id, id) || last->index != index) {
		if (last && !is_missing(copying, last))
			copying->count--; /* it has its copies */
		copying->more = copying->count == BATCH;
		if (copying->more)
			return 1;
		last = &copying->batch[copying->count++];
		*last = (struct thing){ .id = *id, .index = index, .kind = kind };
	}
	copies_add(&copying->copies, volume, &last->set);
	return 0;
}

static int visit_segment(void *context, const struct segment_place *place)
{
	return add_place(context, &place->id, place->index, 0, &place->volume);
}

static int visit_page(void *context, const struct page_place *place,
		      const struct uuid *volume)
{
	return add_place(context, &place->hash, 0, place->kind, volume);
}

static void end_batch(struct copying *copying)
{
	if (copying->count > 0 &&
	    !is_missing(copying, &copying->batch[copying->count - 1]))
		copying->count--;
}

/* ---- copying ---- */

/* Let only those lanes be written to whose place has no copy of @thing; false: none. */
static bool choose_lanes(struct copying *copying, const struct thing *thing)
{
	bool any = false;

	for (size_t i = 0; i < appender_lane_count(copying->appender); i++) {
		struct lane *lane = appender_lane(copying->appender, i);
		struct copy_set here = { 0 };

		lane->skipped = true;
		if (!lane->active)
			continue;
		copies_add(&copying->copies, &lane->active->uuid, &here);
		lane->skipped = (thing->set.places & here.places) != 0;
		any |= !lane->skipped;
	}
	return any;
}

static void choose_all(struct copying *copying)
{
	for (size_t i = 0; i < appender_lane_count(copying->appender); i++)
		appender_lane(copying->appender, i)->skipped = false;
}

/* Stored bytes @offset to @end of a segment, as one atom. */
static int copy_part(struct copying *copying, const struct segment_ref *segment,
		     uint32_t offset, uint32_t end, uint8_t *buffer, struct error *err)
{
	int r;

	if (end <= offset || end - offset > ATOM_SIZE_MAX)
		return error_set(err, -EBADMSG, "impossible frames");
	r = source_part(copying->source, segment, offset, end - offset, buffer, err);
	if (r < 0)
		return r;
	return appender_append(copying->appender, ATOM(buffer, end - offset), err);
}

/* Header, frames, and the two tables as one atom. */
static int copy_parts(struct copying *copying, const struct segment_ref *segment,
		      uint8_t *buffer, struct error *err)
{
	const struct segment_table *table = segment->table;
	uint32_t tail =
		table->stored_size - (uint32_t)segment_tail_size(table->frame_count);
	uint32_t at = table->frames[0].stored_offset;
	int r;

	r = copy_part(copying, segment, 0, at, buffer, err);
	for (uint32_t i = 0; r == 0 && i < table->frame_count; i++) {
		uint32_t end = i + 1 < table->frame_count
				       ? table->frames[i + 1].stored_offset
				       : tail;

		r = copy_part(copying, segment, at, end, buffer, err);
		at = end;
	}
	return r < 0 ? r
		     : copy_part(copying, segment, tail, table->stored_size, buffer, err);
}

static int append_segment(struct copying *copying, const struct segment_ref *segment,
			  struct error *err)
{
	autofree uint8_t *buffer = malloc(ATOM_SIZE_MAX);
	const struct segment_place place = {
		.id = segment->id,
		.index = segment->index,
		.content_size = segment->info.content_size,
		.stored_size = segment->table->stored_size,
		.frame_count = segment->table->frame_count,
		.kind = (uint8_t)segment->info.kind,
	};
	int r;

	if (!buffer)
		return error_set(err, -ENOMEM, "no memory for a copy");
	r = appender_begin(copying->appender, place.stored_size, err);
	if (r == 0)
		r = copy_parts(copying, segment, buffer, err);
	if (r == 0)
		r = appender_place_segment(copying->appender, &place, err);
	if (r == 0) {
		copying->report->segments++;
		copying->report->bytes += place.stored_size;
	}
	return r;
}

/* Everything is read before the first byte of it is appended: what can't be read leaves no
 * half of itself behind. The second time it comes from the page cache. */
static int probe_segment(struct copying *copying, const struct segment_ref *segment)
{
	const struct segment_table *table = segment->table;
	autofree uint8_t *buffer = malloc(ATOM_SIZE_MAX);
	int r = buffer ? 0 : -ENOMEM;

	for (uint32_t at = 0; r == 0 && at < table->stored_size;) {
		uint32_t size = table->stored_size - at;

		if (size > ATOM_SIZE_MAX)
			size = ATOM_SIZE_MAX;
		r = source_part(copying->source, segment, at, size, buffer, NULL);
		at += size;
	}
	return r;
}

static int copy_segment(struct copying *copying, const struct thing *thing,
			struct error *err)
{
	const struct segment_ref *segment = NULL;
	int r;

	r = source_segment(copying->source, &thing->id, thing->index, &segment, NULL);
	if (r == 0) /* without its table nobody knows its frames */
		r = segment->unproven ? -EBADMSG : probe_segment(copying, segment);
	if (r == 0)
		r = append_segment(copying, segment, err);
	else if (r != -ENOMEM)
		r = 1;
	if (segment)
		source_segment_unref(copying->source, segment);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a copy");
	copying->report->unreadable += r > 0;
	return r < 0 ? r : 0;
}

static int copy_page(struct copying *copying, const struct thing *thing,
		     struct error *err)
{
	struct page_place place = { .hash = thing->id, .kind = thing->kind };
	autofree uint8_t *payload_data = NULL;
	uint8_t header[SKIPPABLE_HEADER_SIZE];
	struct atom atom = atom_of(header, sizeof(header));
	struct bytes payload = { 0 };
	int r;

	r = source_page(copying->source, &thing->id, &payload, NULL);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a copy");
	if (r < 0) {
		copying->report->unreadable++;
		return 0;
	}
	payload_data = payload.data;
	place.stored_size = (uint32_t)(SKIPPABLE_HEADER_SIZE + payload.size);
	skippable_put(header, place.kind, (uint32_t)payload.size);
	atom_add(&atom, payload.data, payload.size);
	r = appender_begin(copying->appender, place.stored_size, err);
	if (r == 0)
		r = appender_append(copying->appender, &atom, err);
	if (r == 0)
		r = appender_place_page(copying->appender, &place, err);
	copying->report->pages += r == 0;
	return r;
}

static int check_stopped(const struct copying *copying, struct error *err)
{
	const struct copy_up_options *options = copying->options;

	if (options->stopped && options->stopped(options->context))
		return error_set(err, -EINTR, "stopped");
	return 0;
}

static int copy_batch(struct copying *copying,
		      int (*copy)(struct copying *copying, const struct thing *thing,
				  struct error *err),
		      struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < copying->count; i++) {
		if (choose_lanes(copying, &copying->batch[i]))
			r = copy(copying, &copying->batch[i], err);
		if (r == 0)
			r = check_stopped(copying, err);
	}
	choose_all(copying);
	crash_point("archive.copies.batch");
	return r;
}

static int copy_segments(struct copying *copying, struct error *err)
{
	struct thing last = { 0 };
	int r = 0;

	do {
		copying->count = 0;
		copying->more = false;
		r = catalog_visit_segments_after(copying->catalog,
						 hash_is_zero(&last.id) ? NULL : &last.id,
						 last.index, visit_segment, copying, err);
		end_batch(copying);
		if (copying->count > 0)
			last = copying->batch[copying->count - 1];
		if (r >= 0)
			r = copy_batch(copying, copy_segment, err);
	} while (r == 0 && copying->more);
	return r;
}

static int copy_pages(struct copying *copying, struct error *err)
{
	struct thing last = { 0 };
	int r = 0;

	do {
		copying->count = 0;
		copying->more = false;
		r = catalog_visit_pages_after(copying->catalog,
					      hash_is_zero(&last.id) ? NULL : &last.id,
					      visit_page, copying, err);
		end_batch(copying);
		if (copying->count > 0)
			last = copying->batch[copying->count - 1];
		if (r >= 0)
			r = copy_batch(copying, copy_page, err);
	} while (r == 0 && copying->more);
	return r;
}

/* ---- heads ---- */

/* Which commits the volumes of a place know. */
struct known_heads {
	struct catalog *catalog;
	uint8_t *bits; /* one for each sequence */
	uint64_t count;
};

/* Another commit of that number, which no other place knew, does not count. */
static int note_head(void *context, const struct record *record,
		     const struct stripe_info *own, struct error *err)
{
	struct known_heads *known = context;
	uint64_t sequence;

	(void)own;
	(void)err;
	if (replay_knows(known->catalog, record, &sequence) && sequence < known->count)
		known->bits[sequence / 8] |= (uint8_t)(1u << sequence % 8);
	return 0;
}

/* What can't be read of a volume is not known there. */
static int note_volume(struct copying *copying, const struct copy_volume *volume,
		       struct known_heads *known, struct error *err)
{
	struct budget *budget = archive_budget(copying->archive);
	autoptr(backend) backend = NULL;
	int r;

	if (backend_file_open(archive_folder(copying->archive), volume->file, 0, &backend,
			      NULL) < 0)
		return 0;
	r = budget_reserve(budget, CHAIN_MEMORY, "records", err);
	if (r < 0)
		return r;
	r = chain_visit_back(backend, &volume->uuid, NULL, note_head, known, NULL);
	budget_release(budget, CHAIN_MEMORY);
	return r == -ENOMEM ? error_set(err, r, "no memory for records") : 0;
}

static int write_head(struct copying *copying, struct lane *lane, const char *head,
		      struct error *err)
{
	int r = log_write_record(lane->active->writer, STRIPE_PLACEMENT, false, head,
				 NULL, err);

	copying->report->heads += r == 0;
	crash_point("archive.copies.head");
	return r;
}

/* Write the heads that are not @known, but for the last one. */
static int write_heads(struct copying *copying, struct lane *lane,
		       const struct known_heads *known, struct error *err)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i + 1 < known->count; i++) {
		struct commit_row commit = { 0 };

		if (known->bits[i / 8] >> i % 8 & 1)
			continue;
		r = catalog_get_commit(copying->catalog, i, &commit, err);
		if (r == CATALOG_END) {
			r = 0; /* nobody knows it any more */
			continue;
		}
		if (r == 0)
			r = write_head(copying, lane, commit.head, err);
		commit_row_done(&commit);
		if (r == 0)
			r = check_stopped(copying, err);
	}
	return r;
}

static int learn_heads(struct copying *copying, const struct lane *lane,
		       struct known_heads *known, struct error *err)
{
	const struct copies *copies = &copying->copies;
	struct copy_set here = { 0 };
	int r = 0;

	copies_add(copies, &lane->active->uuid, &here);
	for (size_t i = 0; r == 0 && i < copies->count; i++) {
		struct copy_set other = { 0 };

		copies_add(copies, &copies->volumes[i].uuid, &other);
		if (copies->volumes[i].attached && (other.places & here.places))
			r = note_volume(copying, &copies->volumes[i], known, err);
	}
	return r;
}

/* Make the lane's place know all commits up to @last, and the volume the last one's tree. */
static int complete_lane(struct copying *copying, struct lane *lane,
			 const struct commit_row *last, struct error *err)
{
	autofree uint8_t *bits = calloc(1, last->sequence / 8 + 1);
	struct known_heads known = { copying->catalog, bits, last->sequence + 1 };
	uint64_t before = copying->report->heads;
	int r;

	if (!bits)
		return error_set(err, -ENOMEM, "no memory for heads");
	r = learn_heads(copying, lane, &known, err);
	if (r == 0)
		r = write_heads(copying, lane, &known, err);
	if (r < 0 || (!lane->incomplete && copying->report->heads == before))
		return r;
	r = lane_complete_tree(lane, last->head, err);
	/* Last, so that who opens the volume sees that it has missed nothing. */
	return r < 0 ? r : write_head(copying, lane, last->head, err);
}

static int complete_lanes(struct copying *copying, struct error *err)
{
	struct commit_row last = { 0 };
	int r;

	r = catalog_get_commit(copying->catalog, VERSION_CURRENT, &last, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "the catalog has no commit");
	for (size_t i = 0; r == 0 && i < appender_lane_count(copying->appender); i++) {
		struct lane *lane = appender_lane(copying->appender, i);

		if (lane->active)
			r = complete_lane(copying, lane, &last, err);
	}
	commit_row_done(&last);
	return r;
}

/* ---- the whole ---- */

static int open_source(struct copying *copying, struct error *err)
{
	struct volume_set_options options = {
		.places = archive_places(copying->archive),
		.catalog = copying->catalog,
		.budget = archive_budget(copying->archive),
		.frugal = true,
	};
	int r;

	archive_id(copying->archive, &options.archive_id);
	r = volume_set_new(&options, &copying->volumes, err);
	if (r < 0)
		return r;
	return source_local_new(copying->volumes, options.budget, &copying->source, err);
}

static int open_all(struct copying *copying, struct error *err)
{
	const struct config *config = archive_config(copying->archive);
	const struct appender_options options = {
		.tiered = config->parity.policy == CONFIG_POLICY_TIERED,
		.data = config->parity.data,
		.parity = config->parity.parity,
		.least = 1, /* each copy helps */
	};
	int r;

	copying->batch = calloc(BATCH, sizeof(*copying->batch));
	if (!copying->batch)
		return error_set(err, -ENOMEM, "no memory to copy");
	r = open_source(copying, err);
	if (r == 0)
		r = appender_open(copying->archive, &options, &copying->appender, err);
	return r < 0 ? r
		     : copies_load(copying->archive, copying->catalog, &copying->copies,
				   err);
}

static void tell_problems(const struct copying *copying)
{
	const struct copy_up_options *options = copying->options;

	if (!copying->appender || !options->problem)
		return;
	for (size_t i = 0; i < appender_problem_count(copying->appender); i++)
		options->problem(options->context,
				 appender_problem(copying->appender, i)->why.text);
}

static int work(struct copying *copying, struct error *err)
{
	int r;

	r = open_all(copying, err);
	if (r == 0)
		r = copy_segments(copying, err);
	if (r == 0)
		r = copy_pages(copying, err);
	if ((r == 0 || r == -EINTR) &&
	    copying->report->segments + copying->report->pages > 0) {
		int listed = appender_list(copying->appender, NULL, r < 0 ? NULL : err);

		r = r < 0 ? r : listed;
	}
	if (r == 0)
		r = complete_lanes(copying, err);
	tell_problems(copying);
	return r;
}

static void copying_done(struct copying *copying)
{
	source_free(copying->source);
	volume_set_free(copying->volumes);
	appender_free(copying->appender);
	copies_done(&copying->copies);
	free(copying->batch);
}

/* In one transaction: what was copied is in it, also if the rest fails. */
static int run(struct copying *copying, struct error *err)
{
	struct catalog *catalog = copying->catalog;
	int committed;
	int r;

	r = catalog_begin(catalog, err);
	if (r < 0)
		return r;
	r = work(copying, err);
	copying_done(copying);
	crash_point("archive.copies.done");
	committed = catalog_commit(catalog, r < 0 ? NULL : err);
	return r < 0 ? r : committed;
}

int copy_up(const struct copy_up_options *options, struct copy_up_report *report_out,
	    struct error *err)
{
	struct copying copying = {
		.options = options,
		.archive = options->archive,
		.catalog = archive_catalog(options->archive),
		.report = report_out,
	};
	autocopies struct copies copies = { 0 };
	autoclose int lock_fd = -1;
	int r;

	*report_out = (struct copy_up_report){ 0 };
	r = lock_take(archive_folder(options->archive), false, &lock_fd, err);
	if (r == 0)
		r = run(&copying, err);
	if (r < 0)
		return r;
	r = copies_load(options->archive, copying.catalog, &copies, err);
	return r < 0 ? r
		     : copies_find_missing(&copies, copying.catalog, &report_out->missing,
					   err);
}
