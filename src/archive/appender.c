/* SPDX-License-Identifier: MIT */
/* One log over many volumes, in as many copies as [volume] copies asks for: each copy is a
 * lane (archive/lane.h), an active volume in a place of its own. Atoms are handed to all
 * lanes, each of which hashes, encodes and writes them with a thread of its own, and lie at
 * another log offset in each.
 *
 * A lane that fails is given up; the others go on while there are as many as [volume]
 * min_copies. What it had written stays behind as a tail, or, where records list it, as
 * copies of their own right. With one copy a failure is a failure.
 *
 * A commit of several lanes has two steps, each done by all of them at the same time:
 *
 *     data flushed on all lanes         too few are left: it fails, and nothing is visible
 *     commit record on all lanes        from the first one on that is durable it exists
 *
 * A kill between two commit records leaves a commit that one volume holds: the next opener
 * finds it there, the other volume has missed it (lane.c), and health makes up for it. Where
 * so many records fail that too few are left, the commit exists nonetheless, and is told as
 * one with too few copies.
 */
#include "archive/appender.h"

#include "archive/archive.h"
#include "archive/lane.h"
#include "archive/lane_choice.h"
#include "archive/places.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct appender {
	struct archive *archive; /* borrowed */
	struct lane_setup setup;
	struct budget *reading; /* LANE_READING_MEMORY of the archive's budget */
	struct lane lanes[CONFIG_COPIES_MAX];
	size_t count; /* of them, given up ones included */
	size_t least; /* copies; 0: as the configuration says */
	struct lane_problem *problems;
	size_t problem_count;
};

/* ---- lanes that work, and those that do not ---- */

static size_t working(const struct appender *appender)
{
	size_t count = 0;

	for (size_t i = 0; i < appender->count; i++)
		count += appender->lanes[i].active != NULL;
	return count;
}

static size_t least(const struct appender *appender)
{
	if (appender->least > 0)
		return appender->least;
	return config_min_copies(archive_config(appender->archive));
}

static size_t wanted(const struct appender *appender)
{
	return archive_config(appender->archive)->volume.copies;
}

static int add_problem(struct appender *appender, size_t place, const struct error *why)
{
	const struct places *places = archive_places(appender->archive);
	struct lane_problem *grown;

	grown = realloc(appender->problems,
			(appender->problem_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	appender->problems = grown;
	grown[appender->problem_count++] = (struct lane_problem){
		.place = place < places_count(places) ? places_path(places, place) : "?",
		.why = *why,
	};
	return 0;
}

static int too_few(const struct appender *appender, const struct lane *lane, int r,
		   struct error *err)
{
	char why[ERROR_TEXT_MAX];

	(void)snprintf(why, sizeof(why), "%s", lane->why.text);
	return error_set(err, r, "%zu of %zu copies, and a commit takes %zu: %s",
			 working(appender), wanted(appender), least(appender), why);
}

/* After @r of a lane's call: 0 if the others go on. */
static int settle(struct appender *appender, struct lane *lane, int r, struct error *why,
		  struct error *err)
{
	if (r >= 0)
		return 0;
	lane->code = r;
	lane->why = *why;
	lane_done(lane);
	log_debug("a copy is given up: %s", why->text);
	if (add_problem(appender, lane->place, why) < 0)
		return error_set(err, -ENOMEM, "no memory for a problem");
	if (wanted(appender) == 1 || !lane_is_failure(r)) {
		if (err)
			*err = *why;
		return r;
	}
	return working(appender) >= least(appender) ? 0 : too_few(appender, lane, r, err);
}

static int check_lanes(const struct appender *appender, struct error *err)
{
	if (working(appender) > 0 && working(appender) >= least(appender))
		return 0;
	return error_set(err, -EIO, "no volume could be begun");
}

/* Call @step for all lanes that work. */
typedef int lane_step(struct lane *lane, const void *argument, struct error *err);

static int for_each(struct appender *appender, lane_step *step, const void *argument,
		    struct error *err)
{
	int r = check_lanes(appender, err);

	for (size_t i = 0; r == 0 && i < appender->count; i++) {
		struct lane *lane = &appender->lanes[i];
		struct error why = { 0 };

		if (lane->active && !lane->skipped)
			r = settle(appender, lane, step(lane, argument, &why), &why, err);
	}
	return r;
}

/* ---- opening ---- */

static int reserve_reading(struct appender *appender, struct error *err)
{
	struct budget *budget = archive_budget(appender->archive);
	int r;

	r = budget_reserve(budget, LANE_READING_MEMORY, "reading trees", err);
	if (r < 0)
		return r;
	r = budget_new(LANE_READING_MEMORY, &appender->reading);
	if (r < 0) {
		budget_release(budget, LANE_READING_MEMORY);
		return error_set(err, r, "no memory for a budget");
	}
	appender->setup.reading = appender->reading;
	return 0;
}

static void init_setup(struct appender *appender, struct archive *archive,
		       const struct appender_options *options)
{
	struct volume_writing *writing = &appender->setup.writing;

	appender->archive = archive;
	appender->setup.archive = archive;
	appender->least = options->least;
	*writing = (struct volume_writing){
		.places = archive_places(archive),
		.config = archive_config(archive),
		.budget = archive_budget(archive),
		.pool = archive_pool(archive),
		.catalog = archive_catalog(archive),
		.tiered = options->tiered,
		.data = options->data,
		.parity = options->parity,
		.lanes = archive_config(archive)->volume.copies,
	};
	archive_id(archive, &writing->archive_id);
}

/* See that a volume lacks nothing that its writer owed it. It may be on a shelf. */
static int finish_volume(struct appender *appender, const struct volume_row *row,
			 struct error *err)
{
	autofree char *file = NULL;
	int r;

	r = volume_set_find_file(archive_volumes(appender->archive), &row->uuid, &file,
				 err);
	if (r == -ENOMEDIUM || (r < 0 && wanted(appender) > 1))
		return 0;
	if (r < 0)
		return r;
	r = active_volume_finish(&appender->setup.writing, row, file, err);
	return wanted(appender) > 1 && lane_is_failure(r) ? 0 : r;
}

/* See to the last data volumes, as many as there are copies, and to those that are still
 * open. */
static int finish_volumes(struct appender *appender, struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	size_t last = wanted(appender);
	int r;

	r = volume_list_load(appender->setup.writing.catalog, &list, err);
	for (size_t i = list.count; r == 0 && i-- > 0;) {
		const struct volume_row *row = &list.rows[i];

		if (row->sealed && (row->role != VOLUME_DATA || last == 0))
			continue;
		r = finish_volume(appender, row, err);
		if (row->role == VOLUME_DATA && last > 0)
			last--;
	}
	return r;
}

static int open_lane(struct appender *appender, const struct lane_choice *choice,
		     struct error *err)
{
	struct lane *lane = &appender->lanes[appender->count];
	struct error why = { 0 };
	int r = choice->code;

	if (r < 0) {
		const struct places *places = archive_places(appender->archive);

		(void)error_set_errno(&why, r, "'%s'",
				      places_path(places, choice->place));
	} else {
		r = lane_open(lane, &appender->setup, choice, &why);
	}
	if (r == 0) {
		if (lane->place < PLACES_MAX)
			appender->setup.taken |= UINT64_C(1) << lane->place;
		appender->count++;
		return 0;
	}
	lane_done(lane);
	if (wanted(appender) > 1 && lane_is_failure(r)) {
		r = add_problem(appender, choice->place, &why);
		return r < 0 ? error_set(err, r, "no memory for a problem") : 0;
	}
	if (err)
		*err = why;
	return r;
}

/* Not worth a word: a place that is the same folder as another one, and none at all. */
static bool is_no_place(const struct appender *appender, const struct lane_choice *choice)
{
	return choice->code == -EEXIST ||
	       (choice->code < 0 &&
		choice->place == places_count(archive_places(appender->archive)));
}

static int open_lanes(struct appender *appender, struct error *err)
{
	autolane_choices struct lane_choices choices = { 0 };
	size_t places = 0;
	int r;

	r = lane_choices_make(appender->archive, &choices, err);
	if (r == 0 && choices.items[0].row.number == 0)
		r = finish_volumes(appender, err); /* another one is begun */
	for (size_t i = 0; r == 0 && i < choices.count; i++) {
		if (appender->count == wanted(appender))
			break;
		if (is_no_place(appender, &choices.items[i]))
			continue;
		places++;
		r = open_lane(appender, &choices.items[i], err);
	}
	if (r < 0)
		return r;
	if (appender->count < least(appender) && places < least(appender))
		return error_set(err, -EINVAL,
				 "[volume] copies = %zu takes %zu places, and there are "
				 "%zu: name more in [volume] more_directories",
				 wanted(appender), least(appender), places);
	if (appender->count < least(appender))
		return error_set(
			err, -ENOMEDIUM, "%zu of %zu copies, and a commit takes %zu: %s",
			appender->count, wanted(appender), least(appender),
			appender->problem_count ? appender->problems[0].why.text : "");
	return 0;
}

int appender_finish_last(struct archive *archive, const struct appender_options *options,
			 struct error *err)
{
	struct appender appender = { 0 };

	init_setup(&appender, archive, options);
	return finish_volumes(&appender, err);
}

int appender_open(struct archive *archive, const struct appender_options *options,
		  struct appender **appender_out, struct error *err)
{
	autoptr(appender) appender = calloc(1, sizeof(*appender));
	int r;

	if (!appender)
		return error_set(err, -ENOMEM, "no memory to append");
	init_setup(appender, archive, options);
	r = volume_writing_check(&appender->setup.writing, err);
	if (r < 0)
		return r;
	r = reserve_reading(appender, err);
	if (r < 0)
		return r;
	r = open_lanes(appender, err);
	if (r < 0)
		return r;
	*appender_out = take_ptr(appender);
	return 0;
}

/* ---- appending ---- */

static int step_begin(struct lane *lane, const void *argument, struct error *err)
{
	const uint64_t *size = argument;

	return lane_begin(lane, *size, err);
}

int appender_begin(struct appender *appender, uint64_t size, struct error *err)
{
	return for_each(appender, step_begin, &size, err);
}

static int step_append(struct lane *lane, const void *argument, struct error *err)
{
	return lane_append(lane, argument, err);
}

int appender_append(struct appender *appender, const struct atom *atom, struct error *err)
{
	return for_each(appender, step_append, atom, err);
}

static int step_segment(struct lane *lane, const void *argument, struct error *err)
{
	return lane_place_segment(lane, argument, err);
}

int appender_place_segment(struct appender *appender, const struct segment_place *place,
			   struct error *err)
{
	return for_each(appender, step_segment, place, err);
}

static int step_page(struct lane *lane, const void *argument, struct error *err)
{
	return lane_place_page(lane, argument, err);
}

int appender_place_page(struct appender *appender, const struct page_place *place,
			struct error *err)
{
	return for_each(appender, step_page, place, err);
}

/* ---- the commit ---- */

static int step_tree(struct lane *lane, const void *argument, struct error *err)
{
	return lane_complete_tree(lane, argument, err);
}

static int step_begin_flush(struct lane *lane, const void *argument, struct error *err)
{
	(void)argument;
	return log_begin_flush(lane->active->writer, err);
}

static int step_end_flush(struct lane *lane, const void *argument, struct error *err)
{
	(void)argument;
	return log_end_flush(lane->active->writer, err);
}

static int flush(struct appender *appender, struct error *err)
{
	int r;

	r = for_each(appender, step_begin_flush, NULL, err);
	if (r == 0)
		r = for_each(appender, step_end_flush, NULL, err);
	if (r == 0)
		crash_point("archive.copies.flushed");
	return r;
}

/* Begin the commit records. From the first one on that is begun the commit may exist, so that
 * whatever happens to another lane is a problem of that copy only, however few are left. */
static int begin_records(struct appender *appender, const char *head, struct error *err)
{
	bool begun = false;

	for (size_t i = 0; i < appender->count; i++) {
		struct lane *lane = &appender->lanes[i];
		struct error why = { 0 };
		int r;

		if (!lane->active || lane->skipped)
			continue;
		r = log_begin_record(lane->active->writer, STRIPE_COMMIT, false, head,
				     NULL, &why);
		r = settle(appender, lane, r, &why, begun ? NULL : err);
		if (r < 0 && !begun)
			return r;
		begun |= lane->active != NULL;
	}
	return begun ? 0 : check_lanes(appender, err);
}

/* Wait for the commit records. One that is durable makes the commit: then lanes that fail
 * are problems only, however few are left. */
static int end_records(struct appender *appender, struct error *err)
{
	size_t done = 0;
	int failure = 0;

	for (size_t i = 0; i < appender->count; i++) {
		struct lane *lane = &appender->lanes[i];
		struct error why = { 0 };
		int r;

		if (!lane->active)
			continue;
		r = log_end_record(lane->active->writer, &why);
		if (r < 0)
			(void)error_prefix(&why, r, "volume '%s'", lane->active->label);
		r = settle(appender, lane, r, &why, done > 0 ? NULL : err);
		if (r < 0)
			failure = r;
		if (!lane->active)
			continue;
		done++;
		lane->incomplete = false;
		crash_point("archive.copies.recorded");
	}
	if (done > 0)
		return 0;
	return error_prefix(err, failure,
			    "the commit may exist all the same, which 'blockframe log' "
			    "tells");
}

int appender_commit(struct appender *appender, const char *head, struct error *err)
{
	int r;

	r = for_each(appender, step_tree, head, err);
	if (r == 0 && working(appender) > 1)
		r = flush(appender, err);
	if (r < 0)
		return r;
	crash_point("archive.commit.begin");
	r = begin_records(appender, head, err);
	if (r < 0)
		return r;
	r = end_records(appender, err);
	if (r < 0)
		return r;
	crash_point("archive.commit.recorded");
	return 0;
}

/* ---- what became of it ---- */

void appender_totals(const struct appender *appender, struct appender_totals *totals_out)
{
	struct appender_totals totals = { 0 };

	for (size_t i = 0; i < appender->count; i++) {
		const struct lane *lane = &appender->lanes[i];
		uint64_t payload = 0, written = 0;

		if (!lane->active)
			continue;
		log_writer_totals(lane->active->writer, &payload, &written);
		payload += lane->payload_size;
		if (payload > totals.payload_size) /* the same on all */
			totals.payload_size = payload;
		totals.written_size += lane->written_size + written;
		totals.volumes_filled += lane->volumes_filled;
	}
	totals.copies = working(appender);
	*totals_out = totals;
}

size_t appender_lane_count(const struct appender *appender)
{
	return appender->count;
}

struct lane *appender_lane(struct appender *appender, size_t i)
{
	return &appender->lanes[i];
}

static int step_list(struct lane *lane, const void *argument, struct error *err)
{
	return log_write_record(lane->active->writer, STRIPE_PLACEMENT, false, NULL,
				argument, err);
}

int appender_list(struct appender *appender, const char *info, struct error *err)
{
	return for_each(appender, step_list, info, err);
}

size_t appender_problem_count(const struct appender *appender)
{
	return working(appender) < wanted(appender) ? appender->problem_count : 0;
}

const struct lane_problem *appender_problem(const struct appender *appender, size_t i)
{
	return &appender->problems[i];
}

void appender_free(struct appender *appender)
{
	if (!appender)
		return;
	for (size_t i = 0; i < appender->count; i++)
		lane_done(&appender->lanes[i]);
	if (appender->reading) {
		budget_free(appender->reading);
		budget_release(archive_budget(appender->archive), LANE_READING_MEMORY);
	}
	free(appender->problems);
	free(appender);
}
