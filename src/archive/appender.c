/* SPDX-License-Identifier: MIT */
/* One log over many volumes.
 *
 * The active volume is the one with the highest number. If it is sealed, or full, the next
 * one is made: header, then checkpoint, then the log goes on. A writer may have been killed
 * between any two of these steps, so opening looks at what there is and does the rest:
 *
 *     highest is sealed                       see that it is finished, make the next volume
 *     highest has no complete checkpoint      write it
 *     else                                    append
 *
 * A commit that rolls over has left pages of its new tree on the earlier volume. Since each
 * volume shall know every name as of its last head, what the new tree has and the volume
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
	bool rolled_over;              /* part of the commit is on an earlier volume */
};

/* Which volume comes last, and what the first one is called. */
struct survey {
	struct volume_row last; /* without file */
	char *first_label;      /* owned */
};

static void survey_done(struct survey *survey)
{
	volume_row_done(&survey->last);
	free(survey->first_label);
}

static int survey_volume(void *context, const struct volume_row *row)
{
	struct survey *survey = context;
	const char *label = row->label ? row->label : "";

	if (!survey->first_label) {
		survey->first_label = strdup(label);
		if (!survey->first_label)
			return -ENOMEM;
	}
	if (row->number < survey->last.number)
		return 0;
	volume_row_done(&survey->last);
	survey->last = *row;
	survey->last.file = NULL;
	survey->last.label = strdup(label);
	return survey->last.label ? 0 : -ENOMEM;
}

static int take_survey(struct catalog *catalog, struct survey *survey, struct error *err)
{
	int r;

	r = catalog_visit_volumes(catalog, survey_volume, survey, err);
	if (r < 0)
		return error_prefix(err, r, "list of volumes");
	if (!survey->first_label)
		return error_set(err, -EBADMSG, "the catalog knows no volume");
	return 0;
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

static int begin_next(struct appender *appender, const struct survey *survey,
		      struct error *err)
{
	uint64_t number = survey->last.number + 1;
	autofree char *label = NULL;
	struct hash head;
	int r;

	r = last_head(appender->writing.catalog, &head, err);
	if (r < 0)
		return r;
	if (asprintf(&label, "%s-%" PRIu64, survey->first_label, number) < 0) {
		label = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a label");
	}
	return active_volume_create(
		&appender->writing,
		&(struct volume_plan){ .number = number, .label = label, .head = &head },
		&appender->active, err);
}

/* See that the last volume lacks nothing that its writer owed it. It may be on a shelf. */
static int finish_last(struct appender *appender, const struct survey *survey,
		       struct error *err)
{
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(appender->archive), &survey->last.uuid,
				 &file, err);
	if (r == -ENOMEDIUM)
		return 0;
	if (r < 0)
		return r;
	return active_volume_finish(&appender->writing, &survey->last, file, err);
}

static int open_last(struct appender *appender, const struct survey *survey,
		     struct error *err)
{
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(appender->archive), &survey->last.uuid,
				 &file, err);
	if (r < 0)
		return r;
	return active_volume_open(&appender->writing, &survey->last, file,
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

/* Have an active volume that is complete up to and including its checkpoint. */
static int activate(struct appender *appender, struct error *err)
{
	struct survey survey = { 0 };
	int r;

	r = take_survey(appender->writing.catalog, &survey, err);
	if (r == 0 && !survey.last.sealed) {
		r = open_last(appender, &survey, err);
	} else if (r == 0) {
		r = finish_last(appender, &survey, err);
		if (r == 0)
			r = begin_next(appender, &survey, err);
	}
	survey_done(&survey);
	if (r < 0 || appender->active->begun)
		return r;
	return write_checkpoint(appender, err);
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
	struct survey survey = { 0 };
	int r;

	init_writing(&appender, archive, options);
	r = take_survey(appender.writing.catalog, &survey, err);
	if (r == 0)
		r = finish_last(&appender, &survey, err);
	survey_done(&survey);
	return r;
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
