/* SPDX-License-Identifier: MIT */
/* A lane is a volume with the role of parity: header, parity, placement records. It has no
 * checkpoint, since it holds nothing of the tree, and its small stripes are never kept four
 * times over, since it is itself a copy. Each writer has a part of the memory of its
 * own, else the first one would take most of it.
 *
 * The entry in the record needs room too, in a stripe with all its copies. It is left here,
 * generously: log_room() knows nothing of it.
 */
#include "archive/outer_lanes.h"

#include "archive/archive.h"
#include "archive/volume_choice.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/cleanup.h"
#include "base/config.h"
#include "base/error.h"
#include "catalog/history.h"
#include "chunker/skippable.h"
#include "volume/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LANE_MEMORY_LEAST (CHAIN_MEMORY + (4u << 20)) /* bytes */
#define CHUNK_FRAME (SKIPPABLE_HEADER_SIZE + GROUP_CHUNK_SIZE)

static void close_lane(struct outer_lanes *lanes, unsigned lane)
{
	active_volume_free(lanes->active[lane]);
	lanes->active[lane] = NULL;
}

void outer_lanes_done(struct outer_lanes *lanes)
{
	for (unsigned i = 0; i < GROUP_PARITY_MAX; i++) {
		close_lane(lanes, i);
		if (!lanes->budgets[i])
			continue;
		budget_free(lanes->budgets[i]);
		budget_release(archive_budget(lanes->archive), lanes->memory);
	}
	*lanes = (struct outer_lanes){ 0 };
}

static int reserve_memory(struct outer_lanes *lanes, struct error *err)
{
	struct budget *budget = archive_budget(lanes->archive);
	int r;

	lanes->memory = budget_available(budget) / 2 / lanes->count;
	if (lanes->memory < LANE_MEMORY_LEAST)
		lanes->memory = LANE_MEMORY_LEAST;
	for (unsigned i = 0; i < lanes->count; i++) {
		r = budget_reserve(budget, lanes->memory, "volumes of parity", err);
		if (r < 0)
			return r;
		r = budget_new(lanes->memory, &lanes->budgets[i]);
		if (r < 0) {
			budget_release(budget, lanes->memory);
			return error_set(err, r, "no memory for a budget");
		}
	}
	return 0;
}

static int begin_volume(struct outer_lanes *lanes, unsigned lane,
			const struct volume_choice *choice, struct error *err)
{
	struct commit_row commit = { 0 };
	autofree char *label = NULL;
	int r;

	if (asprintf(&label, "%s-parity-%" PRIu64, choice->first_label,
		     choice->next_number) < 0) {
		label = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a label");
	}
	r = catalog_get_commit(lanes->writing.catalog, VERSION_CURRENT, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "the catalog has no commit");
	if (r < 0)
		return r;
	r = active_volume_create(&lanes->writing,
				 &(struct volume_plan){ .place = choice->place,
							.number = choice->next_number,
							.label = label,
							.head = &commit.hash },
				 &lanes->active[lane], err);
	commit_row_done(&commit);
	return r;
}

static int open_volume(struct outer_lanes *lanes, unsigned lane,
		       const struct volume_row *row, struct error *err)
{
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(lanes->archive), &row->uuid, &file, err);
	if (r < 0)
		return r;
	lanes->writing.budget = lanes->budgets[lane];
	return active_volume_open(&lanes->writing, row, file, &lanes->active[lane], err);
}

/* Put a volume into @lane that is in no other one, and not to be avoided. */
static int fill_lane(struct outer_lanes *lanes, unsigned lane, struct error *err)
{
	size_t count = lanes->avoid_count;
	autofree struct uuid *taken = calloc(count + lanes->count, sizeof(*taken));
	autovolume_choice struct volume_choice choice = { 0 };
	int r;

	if (!taken)
		return error_set(err, -ENOMEM, "no memory to open volumes");
	if (count)
		memcpy(taken, lanes->avoid, count * sizeof(*taken));
	for (unsigned i = 0; i < lanes->count; i++)
		if (lanes->active[i])
			taken[count++] = lanes->active[i]->uuid;
	r = volume_choice_make(lanes->writing.catalog, archive_volumes(lanes->archive),
			       VOLUME_PARITY, 1, taken, count, &choice, err);
	if (r < 0)
		return r;
	lanes->writing.budget = lanes->budgets[lane];
	return choice.found ? open_volume(lanes, lane, &choice.row, err)
			    : begin_volume(lanes, lane, &choice, err);
}

static int lanes_init(struct archive *archive, unsigned count, enum volume_role role,
		      struct outer_lanes *lanes, struct error *err)
{
	const struct config *config = archive_config(archive);

	*lanes = (struct outer_lanes){
		.archive = archive,
		.count = count,
		.writing = {
			.places = archive_places(archive),
			.config = config,
			.pool = archive_pool(archive),
			.catalog = archive_catalog(archive),
			.data = config->parity.data,
			.parity = config->parity.parity,
			.role = role,
		},
	};
	archive_id(archive, &lanes->writing.archive_id);
	return reserve_memory(lanes, err);
}

int outer_lanes_open(struct archive *archive, unsigned count, const struct uuid *avoid,
		     size_t avoid_count, struct outer_lanes *lanes_out, struct error *err)
{
	int r;

	r = lanes_init(archive, count, VOLUME_PARITY, lanes_out, err);
	lanes_out->avoid = avoid;
	lanes_out->avoid_count = avoid_count;
	for (unsigned i = 0; i < count && r == 0; i++)
		r = fill_lane(lanes_out, i, err);
	return r;
}

int outer_lanes_open_own(struct archive *archive, const struct volume_row *row,
			 struct outer_lanes *lanes_out, struct error *err)
{
	int r = lanes_init(archive, 1, VOLUME_DATA, lanes_out, err);

	return r < 0 ? r : open_volume(lanes_out, 0, row, err);
}

/* ---- room ---- */

uint64_t outer_lanes_room(const struct outer_lanes *lanes, unsigned lane)
{
	unsigned copies = lanes->writing.parity < 2 ? 3 : lanes->writing.parity + 1;
	uint64_t entry = (uint64_t)GROUP_ENTRY_MAX * copies * 2;
	uint64_t room = log_room(lanes->active[lane]->writer);

	room = room > entry ? room - entry : 0;
	return room / CHUNK_FRAME * GROUP_CHUNK_SIZE;
}

static int next_volume(struct outer_lanes *lanes, unsigned lane, struct error *err)
{
	int r = active_volume_seal(lanes->active[lane], err);

	if (r < 0)
		return error_prefix(err, r, "volume '%s'", lanes->active[lane]->label);
	close_lane(lanes, lane);
	return fill_lane(lanes, lane, err);
}

int outer_lanes_make_room(struct outer_lanes *lanes, uint64_t size, uint64_t *size_out,
			  struct error *err)
{
	uint64_t least = size;

	for (unsigned i = 0; i < lanes->count; i++) {
		uint64_t room = outer_lanes_room(lanes, i);
		int r;

		while (room < size && !lanes->active[i]->fresh) {
			r = next_volume(lanes, i, err);
			if (r < 0)
				return r;
			room = outer_lanes_room(lanes, i);
		}
		if (room < least)
			least = room;
	}
	if (least == 0)
		return active_volume_too_small(lanes->active[0], GROUP_CHUNK_SIZE, err);
	*size_out = least;
	return 0;
}

/* ---- appending ---- */

int outer_lanes_append(struct outer_lanes *lanes, unsigned lane, const uint8_t *chunk,
		       uint32_t size, struct group *group, struct error *err)
{
	struct active_volume *active = lanes->active[lane];
	uint8_t header[SKIPPABLE_HEADER_SIZE];
	struct atom atom = atom_of(header, sizeof(header));
	uint64_t log_offset = 0;
	int r;

	skippable_put(header, SKIPPABLE_OUTER_PARITY, size);
	atom_add(&atom, chunk, size);
	active->fresh = false;
	r = log_append(active->writer, &atom, &log_offset, err);
	if (r == LOG_FULL)
		return error_set(err, -ENOSPC, "volume '%s' is full", active->label);
	if (r < 0)
		return error_prefix(err, r, "volume '%s'", active->label);
	r = group_add_chunk(group, log_offset);
	return r < 0 ? error_set(err, r, "no memory for a group") : 0;
}

int outer_lanes_place(struct outer_lanes *lanes, unsigned lane, struct group *group,
		      struct error *err)
{
	struct active_volume *active = lanes->active[lane];
	int r = 0;

	if (group_entry_size(group) > GROUP_ENTRY_MAX)
		r = error_set(err, -E2BIG, "a group in %zu pieces", group->run_count);
	if (r == 0)
		r = log_place_group(active->writer, group, err);
	if (r == 0)
		r = log_write_record(active->writer, STRIPE_PLACEMENT, false, NULL, NULL,
				     err);
	return r < 0 ? error_prefix(err, r, "volume '%s'", active->label) : 0;
}
