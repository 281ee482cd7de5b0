/* SPDX-License-Identifier: MIT */
/* A writer may have been killed between any two steps of a volume's life, so opening looks
 * at what there is and does the rest:
 *
 *     the place's last volume is sealed       see that it is finished, make the next one
 *     it has no complete checkpoint           write it
 *     else                                    append
 *
 * Since each volume shall know every name as of its last head, what the new tree has and the
 * volume has not is copied in front of the commit record: where a commit rolls over, which
 * has left pages of its new tree on the volume before, and where commits were made while
 * this volume was away. Reading pages that only this transaction knows takes a source of its
 * own over the transaction's catalog handle. Its memory is reserved before anything is
 * written: when a volume is full in the middle of a commit, others have taken the rest.
 */
#include "archive/lane.h"

#include "archive/archive.h"
#include "archive/checkpoint.h"
#include "archive/head.h"
#include "archive/lane_choice.h"
#include "archive/places.h"
#include "archive/source_local.h"
#include "archive/volume_set.h"
#include "catalog/history.h"
#include "catalog/placement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const size_t LANE_READING_MEMORY =
	SOURCE_TABLES_LEAST + (VOLUME_SET_OPEN_MAX + 1) * VOLUME_SET_TABLES_LEAST;

bool lane_is_failure(int r)
{
	switch (r) {
	case -EIO:
	case -ENOSPC:
	case -EDQUOT:
	case -EROFS:
	case -EACCES:
	case -EPERM:
	case -ENOENT:
	case -ENOTDIR:
	case -ENOMEDIUM:
	case -ENODEV:
	case -ENXIO:
	case -ESTALE:
	case -EBADMSG:
		return true;
	default:
		return false;
	}
}

/* Hash of the last head. */
static int last_head(struct catalog *catalog, struct hash *hash_out, struct error *err)
{
	struct commit_row commit = { 0 };
	int r;

	r = catalog_get_commit(catalog, VERSION_CURRENT, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "the catalog has no commit");
	if (r < 0)
		return r;
	*hash_out = commit.hash;
	commit_row_done(&commit);
	return 0;
}

/* A source that reads what the transaction knows, from any volume. */
static int open_reading(const struct lane *lane, struct volume_set **volumes_out,
			struct source **source_out, struct error *err)
{
	const struct lane_setup *setup = lane->setup;
	struct volume_set_options options = {
		.places = setup->writing.places,
		.archive_id = setup->writing.archive_id,
		.catalog = setup->writing.catalog,
		.budget = setup->reading,
		.frugal = true,
	};
	autoptr(volume_set) volumes = NULL;
	int r;

	r = volume_set_new(&options, &volumes, err);
	if (r < 0)
		return r;
	r = source_local_new(volumes, options.budget, source_out, err);
	if (r < 0)
		return r;
	*volumes_out = take_ptr(volumes);
	return 0;
}

static int write_checkpoint(struct lane *lane, struct error *err)
{
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	int r;

	r = open_reading(lane, &volumes, &source, err);
	if (r < 0)
		return r;
	return checkpoint_write(lane->active, source, err);
}

/* The lane of a volume that lies in none of the places goes on in one of them: the first one
 * that is there and has no other lane, since two copies in one place are lost together. */
static int enter_place(struct lane *lane, struct error *err)
{
	const struct places *places = lane->setup->writing.places;
	struct stat st;

	if (lane->place < places_count(places))
		return 0;
	for (size_t i = 0; i < places_count(places); i++) {
		if (lane->setup->taken & (UINT64_C(1) << i) ||
		    places_stat(places, i, &st) < 0)
			continue;
		lane->place = i;
		return 0;
	}
	return error_set(err, -ENOMEDIUM,
			 "a volume in none of the places is full, and each place has "
			 "another copy: name one more in [volume] more_directories");
}

static int create(struct lane *lane, const char *wanted, struct error *err)
{
	const struct volume_writing *writing = &lane->setup->writing;
	autofree char *label = NULL;
	struct volume_plan plan = { 0 };
	struct hash head;
	int r;

	r = enter_place(lane, err);
	if (r == 0)
		r = last_head(writing->catalog, &head, err);
	if (r == 0)
		r = lane_choice_next_name(writing->catalog, &plan.number, &label, err);
	if (r < 0)
		return r;
	plan.place = lane->place;
	plan.label = wanted ? wanted : label;
	plan.head = &head;
	return active_volume_create(writing, &plan, &lane->active, err);
}

/* Whether the volume has missed a commit. */
static int check_head(struct lane *lane, struct error *err)
{
	struct hash head;
	int r = last_head(lane->setup->writing.catalog, &head, err);

	if (r < 0)
		return r;
	lane->incomplete |= !hash_equal(&head, &lane->active->last_head);
	return 0;
}

static int begin_volume(struct lane *lane, struct error *err)
{
	if (!lane->active->begun)
		return write_checkpoint(lane, err);
	return check_head(lane, err);
}

int lane_open(struct lane *lane, const struct lane_setup *setup,
	      const struct lane_choice *choice, struct error *err)
{
	int r = 0;

	*lane = (struct lane){ .setup = setup, .place = choice->place };
	if (choice->row.number > 0 && !choice->row.sealed)
		r = active_volume_open(&setup->writing, &choice->row, choice->row.file,
				       &lane->active, err);
	else if (choice->row.number > 0)
		r = active_volume_finish(&setup->writing, &choice->row, choice->row.file,
					 err);
	if (r == 0 && !lane->active)
		r = create(lane, choice->label, err);
	return r < 0 ? r : begin_volume(lane, err);
}

void lane_done(struct lane *lane)
{
	active_volume_free(lane->active);
	lane->active = NULL;
}

static void add_totals(struct lane *lane)
{
	uint64_t payload, written;

	log_writer_totals(lane->active->writer, &payload, &written);
	lane->payload_size += payload;
	lane->written_size += written;
	lane->volumes_filled++;
}

static int roll_over(struct lane *lane, struct error *err)
{
	int r;

	r = enter_place(lane, err);
	if (r == 0)
		r = active_volume_seal(lane->active, err);
	if (r < 0)
		return error_prefix(err, r, "volume '%s'", lane->active->label);
	add_totals(lane);
	active_volume_free(take_ptr(lane->active));
	r = create(lane, NULL, err);
	if (r == 0)
		r = begin_volume(lane, err);
	lane->incomplete = true;
	return r;
}

int lane_begin(struct lane *lane, uint64_t size, struct error *err)
{
	int r = 0;

	lane->appended = false;
	if (size <= log_room(lane->active->writer))
		return 0;
	if (!lane->active->fresh) /* else the next one has no more room */
		r = roll_over(lane, err);
	if (r < 0 || size <= log_room(lane->active->writer))
		return r;
	return active_volume_too_small(lane->active, size, err);
}

int lane_append(struct lane *lane, const struct atom *atom, struct error *err)
{
	uint64_t log_offset;
	int r;

	lane->active->fresh = false;
	r = log_append(lane->active->writer, atom, &log_offset, err);
	if (r == LOG_FULL)
		return error_set(err, -ENOSPC, "volume '%s' is full",
				 lane->active->label);
	if (r < 0)
		return r;
	if (!lane->appended)
		lane->start = log_offset;
	lane->appended = true;
	return 0;
}

int lane_place_segment(struct lane *lane, const struct segment_place *place,
		       struct error *err)
{
	struct segment_place here = *place;

	here.volume = lane->active->uuid;
	here.log_offset = lane->start;
	return log_place_segment(lane->active->writer, &here, err);
}

int lane_place_page(struct lane *lane, const struct page_place *place, struct error *err)
{
	struct page_place here = *place;

	here.log_offset = lane->start;
	return log_place_page(lane->active->writer, &here, err);
}

/* Append what the tree @root has and the active volume has not, reading from any volume
 * what the transaction knows. */
static int append_missing_pages(struct lane *lane, const struct hash *root,
				struct error *err)
{
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	int r;

	r = log_write_record(lane->active->writer, STRIPE_PLACEMENT, false, NULL, NULL,
			     err);
	if (r < 0)
		return r;
	r = open_reading(lane, &volumes, &source, err);
	if (r < 0)
		return r;
	return checkpoint_append_tree(lane->active, source, root, err);
}

/* If that fills the volume up, the next one is made, which has room for it. */
int lane_complete_tree(struct lane *lane, const char *json, struct error *err)
{
	struct head head = { 0 };
	struct hash root;
	int r;

	if (!lane->incomplete)
		return 0;
	r = head_decode(json, strlen(json), &head, err);
	if (r < 0)
		return r;
	root = head.tree;
	head_done(&head);
	r = append_missing_pages(lane, &root, err);
	if (r == CHECKPOINT_FULL) {
		r = roll_over(lane, err);
		if (r == 0)
			r = append_missing_pages(lane, &root, err);
	}
	if (r == CHECKPOINT_FULL)
		return error_set(err, -EFBIG,
				 "the list of all names does not fit: set a "
				 "larger [volume] max_size");
	return r;
}
