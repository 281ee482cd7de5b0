/* SPDX-License-Identifier: MIT */
/* One log over many volumes.
 *
 * The active volume is the last one, or with an outer code one of k (volume_choice.c). If
 * it is sealed, or full, the next one is made: header, then checkpoint, then the log goes on.
 * A writer may have been killed between any two of these steps, so opening looks at what there
 * is and does the rest:
 *
 *     it is sealed                       see that it is finished, make the next volume
 *     it has no complete checkpoint      write it
 *     else                               append
 *
 * A commit that rolls over, or comes to another volume than the one before, finds pages of
 * its new tree on other volumes only. Since each volume shall know every name as of its last head, what the new tree has and the volume
 * has not is copied in front of the commit record. Reading pages that only this
 * transaction knows takes a source of its own over the transaction's catalog handle. Its
 * memory is reserved before anything is written: when a volume is full in the middle of a
 * commit, others have taken the rest.
 */
#include "archive/appender.h"

#include "archive/active_volume.h"
#include "archive/archive.h"
#include "archive/checkpoint.h"
#include "archive/head.h"
#include "archive/source_local.h"
#include "archive/volume_choice.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/size.h"
#include "catalog/history.h"
#include "catalog/placement.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READING_MEMORY \
	(SOURCE_TABLES_LEAST + (VOLUME_SET_OPEN_MAX + 1) * VOLUME_SET_TABLES_LEAST)

struct appender {
	struct archive *archive; /* borrowed */
	struct budget *reading;  /* READING_MEMORY of the archive's budget */
	struct volume_writing writing;
	struct active_volume *active;  /* NULL while there is none */
	struct appender_totals totals; /* of the volumes filled */
	bool rolled_over; /* a part of the tree may be on other volumes only */
};

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

static int begin_next(struct appender *appender, const struct volume_choice *choice,
		      struct error *err)
{
	autofree char *label = NULL;
	struct hash head;
	int r;

	r = last_head(appender->writing.catalog, &head, err);
	if (r < 0)
		return r;
	if (asprintf(&label, "%s-%" PRIu64, choice->first_label, choice->next_number) <
	    0) {
		label = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a label");
	}
	return active_volume_create(&appender->writing,
				    &(struct volume_plan){ .place = choice->place,
							   .number = choice->next_number,
							   .label = label,
							   .head = &head },
				    &appender->active, err);
}

/* See that a volume lacks nothing that its writer owed it. It may be on a shelf. */
static int finish_volume(struct appender *appender, const struct volume_row *row,
			 struct error *err)
{
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(appender->archive), &row->uuid, &file,
				 err);
	if (r == -ENOMEDIUM)
		return 0;
	if (r < 0)
		return r;
	return active_volume_finish(&appender->writing, row, file, err);
}

/* See to the last data volume, and to those that are still open. */
static int finish_volumes(struct appender *appender, struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	bool last = true;
	int r;

	r = volume_list_load(appender->writing.catalog, &list, err);
	for (size_t i = list.count; r == 0 && i-- > 0;) {
		const struct volume_row *row = &list.rows[i];

		if (row->sealed && (row->role != VOLUME_DATA || !last))
			continue;
		r = finish_volume(appender, row, err);
		if (row->role == VOLUME_DATA)
			last = false;
	}
	return r;
}

static int open_chosen(struct appender *appender, const struct volume_choice *choice,
		       struct error *err)
{
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(appender->archive), &choice->row.uuid,
				 &file, err);
	if (r < 0)
		return r;
	return active_volume_open(&appender->writing, &choice->row, file,
				  &appender->active, err);
}

/* A source that reads what the transaction knows, from any volume. */
static int open_reading(struct appender *appender, struct volume_set **volumes_out,
			struct source **source_out, struct error *err)
{
	struct volume_set_options options = {
		.places = appender->writing.places,
		.archive_id = appender->writing.archive_id,
		.catalog = appender->writing.catalog,
		.budget = appender->reading,
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

static int write_checkpoint(struct appender *appender, struct error *err)
{
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	int r;

	r = open_reading(appender, &volumes, &source, err);
	if (r < 0)
		return r;
	return checkpoint_write(appender->active, source, err);
}

/* Whether the active volume has not all of the last tree: commits went to others since. */
static int learn_behind(struct appender *appender, bool *behind_out, struct error *err)
{
	struct commit_row commit = { 0 };
	struct head head = { 0 };
	int r;

	r = catalog_get_commit(appender->writing.catalog, VERSION_CURRENT, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -EBADMSG, "the catalog has no commit");
	if (r == 0)
		r = head_decode(commit.head, strlen(commit.head), &head, err);
	commit_row_done(&commit);
	if (r < 0)
		return r;
	r = hash_is_zero(&head.tree) ? 1
				     : checkpoint_has(appender->active, &head.tree, err);
	head_done(&head);
	*behind_out = r == 0;
	return r < 0 ? r : 0;
}

/* Have an active volume that is complete up to and including its checkpoint. */
static int activate(struct appender *appender, struct error *err)
{
	unsigned wanted = appender->writing.config->volume.outer.data;
	autovolume_choice struct volume_choice choice = { 0 };
	bool behind = false;
	int r;

	r = volume_choice_make(appender->writing.catalog,
			       archive_volumes(appender->archive), VOLUME_DATA,
			       wanted ? wanted : 1, NULL, 0, &choice, err);
	if (r == 0 && choice.found) {
		r = open_chosen(appender, &choice, err);
	} else if (r == 0) {
		r = finish_volumes(appender, err);
		if (r == 0)
			r = begin_next(appender, &choice, err);
	}
	if (r < 0)
		return r;
	if (!appender->active->begun)
		return write_checkpoint(appender, err);
	if (wanted > 1)
		r = learn_behind(appender, &behind, err);
	appender->rolled_over |= behind;
	return r;
}

static int reserve_reading(struct appender *appender, struct error *err)
{
	struct budget *budget = archive_budget(appender->archive);
	int r;

	r = budget_reserve(budget, READING_MEMORY, "reading trees", err);
	if (r < 0)
		return r;
	r = budget_new(READING_MEMORY, &appender->reading);
	if (r < 0) {
		budget_release(budget, READING_MEMORY);
		return error_set(err, r, "no memory for a budget");
	}
	return 0;
}

static void init_writing(struct appender *appender, struct archive *archive,
			 const struct appender_options *options)
{
	appender->archive = archive;
	appender->writing = (struct volume_writing){
		.places = archive_places(archive),
		.config = archive_config(archive),
		.budget = archive_budget(archive),
		.pool = archive_pool(archive),
		.catalog = archive_catalog(archive),
		.tiered = options->tiered,
		.data = options->data,
		.parity = options->parity,
	};
	archive_id(archive, &appender->writing.archive_id);
}

int appender_finish_last(struct archive *archive, const struct appender_options *options,
			 struct error *err)
{
	struct appender appender = { 0 };

	init_writing(&appender, archive, options);
	return finish_volumes(&appender, err);
}

int appender_open(struct archive *archive, const struct appender_options *options,
		  struct appender **appender_out, struct error *err)
{
	autoptr(appender) appender = calloc(1, sizeof(*appender));
	int r;

	if (!appender)
		return error_set(err, -ENOMEM, "no memory to append");
	init_writing(appender, archive, options);
	r = volume_writing_check(&appender->writing, err);
	if (r < 0)
		return r;
	r = reserve_reading(appender, err);
	if (r < 0)
		return r;
	r = activate(appender, err);
	if (r < 0)
		return r;
	*appender_out = take_ptr(appender);
	return 0;
}

static void add_totals(const struct active_volume *active, struct appender_totals *totals)
{
	uint64_t payload;
	uint64_t written;

	log_writer_totals(active->writer, &payload, &written);
	totals->payload_size += payload;
	totals->written_size += written;
}

static int roll_over(struct appender *appender, struct error *err)
{
	int r;

	r = active_volume_seal(appender->active, err);
	if (r < 0)
		return error_prefix(err, r, "volume '%s'", appender->active->label);
	add_totals(appender->active, &appender->totals);
	appender->totals.volumes_filled++;
	active_volume_free(take_ptr(appender->active));
	appender->rolled_over = true;
	return activate(appender, err);
}

static int check_active(const struct appender *appender, struct error *err)
{
	if (appender->active)
		return 0;
	return error_set(err, -EIO, "no volume could be begun");
}

int appender_begin(struct appender *appender, uint64_t size, struct error *err)
{
	int r;

	r = check_active(appender, err);
	if (r < 0 || size <= log_room(appender->active->writer))
		return r;
	if (!appender->active->fresh) /* else the next one has no more room */
		r = roll_over(appender, err);
	if (r < 0 || size <= log_room(appender->active->writer))
		return r;
	return active_volume_too_small(appender->active, size, err);
}

int appender_append(struct appender *appender, const struct atom *atom,
		    uint64_t *log_offset_out, struct error *err)
{
	int r;

	r = check_active(appender, err);
	if (r < 0)
		return r;
	appender->active->fresh = false;
	r = log_append(appender->active->writer, atom, log_offset_out, err);
	if (r == LOG_FULL)
		return error_set(err, -ENOSPC, "volume '%s' is full",
				 appender->active->label);
	return r;
}

int appender_place_segment(struct appender *appender, struct segment_place *place,
			   struct error *err)
{
	int r;

	r = check_active(appender, err);
	if (r < 0)
		return r;
	place->volume = appender->active->uuid;
	return log_place_segment(appender->active->writer, place, err);
}

int appender_place_page(struct appender *appender, const struct page_place *place,
			struct error *err)
{
	int r;

	r = check_active(appender, err);
	return r < 0 ? r : log_place_page(appender->active->writer, place, err);
}

/* Append what the tree @root has and the active volume has not, reading from any volume
 * what the transaction knows. */
static int append_missing_pages(struct appender *appender, const struct hash *root,
				struct error *err)
{
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	int r;

	r = log_write_record(appender->active->writer, STRIPE_PLACEMENT, false, NULL,
			     NULL, err);
	if (r < 0)
		return r;
	r = open_reading(appender, &volumes, &source, err);
	if (r < 0)
		return r;
	return checkpoint_append_tree(appender->active, source, root, err);
}

/* Make the active volume hold the whole tree of @head. If that fills it up, the next one
 * is made, which has room for it. */
static int complete_tree(struct appender *appender, const char *json, struct error *err)
{
	struct head head = { 0 };
	struct hash root;
	int r;

	r = head_decode(json, strlen(json), &head, err);
	if (r < 0)
		return r;
	root = head.tree;
	head_done(&head);
	r = append_missing_pages(appender, &root, err);
	if (r == CHECKPOINT_FULL) {
		r = roll_over(appender, err);
		if (r == 0)
			r = append_missing_pages(appender, &root, err);
	}
	if (r == CHECKPOINT_FULL)
		return error_set(err, -EFBIG,
				 "the list of all names does not fit: set a "
				 "larger [volume] max_size");
	return r;
}

int appender_commit(struct appender *appender, const char *head, struct error *err)
{
	int r;

	r = check_active(appender, err);
	if (r == 0 && appender->rolled_over)
		r = complete_tree(appender, head, err);
	if (r < 0)
		return r;
	crash_point("archive.commit.begin");
	r = log_write_record(appender->active->writer, STRIPE_COMMIT, false, head, NULL,
			     err);
	if (r < 0)
		return error_prefix(err, r, "volume '%s'", appender->active->label);
	crash_point("archive.commit.recorded");
	appender->rolled_over = false;
	return 0;
}

void appender_totals(const struct appender *appender, struct appender_totals *totals_out)
{
	*totals_out = appender->totals;
	if (appender->active)
		add_totals(appender->active, totals_out);
}

void appender_free(struct appender *appender)
{
	if (!appender)
		return;
	active_volume_free(appender->active);
	if (appender->reading) {
		budget_free(appender->reading);
		budget_release(archive_budget(appender->archive), READING_MEMORY);
	}
	free(appender);
}
