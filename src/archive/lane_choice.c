/* SPDX-License-Identifier: MIT */
/* A place may have several open volumes, after files were moved: the one with the highest
 * number is filled, the others stay as they are until it is sealed. With one copy it is
 * volume_choice.c that chooses, among all places.
 */
#include "archive/lane_choice.h"

#include "archive/archive.h"
#include "archive/outer_cover.h"
#include "archive/places.h"
#include "archive/volume_choice.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/config.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lane_choices_done(struct lane_choices *choices)
{
	for (size_t i = 0; i < choices->count; i++)
		volume_row_done(&choices->items[i].row);
	free(choices->items);
	*choices = (struct lane_choices){ 0 };
}

/* Whether @row is to be filled rather than what is known: open before sealed. */
static bool is_better(const struct volume_row *row, const struct volume_row *known)
{
	if (known->number == 0 || row->sealed != known->sealed)
		return known->number == 0 || !row->sealed;
	return row->number > known->number;
}

/* Take @row over if it is the one of its place. */
static int consider(struct archive *archive, struct volume_row *row,
		    struct lane_choices *choices, struct error *err)
{
	autofree char *file = NULL;
	struct lane_choice *choice;
	size_t place;
	int r;

	if (row->retired || row->role != VOLUME_DATA ||
	    (!row->sealed && outer_is_cut(archive_catalog(archive), row)))
		return 0;
	r = volume_set_find_file(archive_volumes(archive), &row->uuid, &file, NULL);
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for a path");
	if (r < 0)
		return 0;
	place = places_of(archive_places(archive), file);
	choice = &choices->items[place];
	if (!is_better(row, &choice->row))
		return 0;
	volume_row_done(&choice->row);
	choice->code = 0;
	choice->row = *row;
	*row = (struct volume_row){ 0 };
	free(choice->row.file);
	choice->row.file = take_ptr(file);
	return 0;
}

/* For one copy: what volume_choice.c chooses, and nothing else. A new volume is not begun in
 * a place that is away. */
static int choose_one(struct archive *archive, struct lane_choices *choices,
		      struct error *err)
{
	const unsigned wanted = archive_config(archive)->volume.outer.data;
	autovolume_choice struct volume_choice choice = { 0 };
	struct lane_choice *one = &choices->items[0];
	struct volume_set *volumes = archive_volumes(archive);
	autofree char *file = NULL;
	int r;

	r = volume_choice_make(archive_catalog(archive), volumes, VOLUME_DATA,
			       wanted ? wanted : 1, NULL, 0, &choice, err);
	if (r < 0)
		return r;
	for (size_t i = 0; choices->items[choice.place].code < 0 && i < choices->count;
	     i++)
		choice.place = i;
	choices->count = 1;
	*one = (struct lane_choice){ .place = choice.place };
	if (!choice.found)
		return 0;
	r = volume_set_find_file(volumes, &choice.row.uuid, &file, err);
	if (r < 0)
		return r;
	one->place = places_of(archive_places(archive), file);
	one->row = choice.row;
	one->row.file = take_ptr(file);
	choice.row = (struct volume_row){ 0 };
	return 0;
}

static void look_at_places(struct archive *archive, struct lane_choices *choices)
{
	const struct places *places = archive_places(archive);
	struct stat st;

	for (size_t i = 0; i < choices->count; i++) {
		choices->items[i].place = i;
		choices->items[i].code =
			i < places_count(places) ? places_stat(places, i, &st) : -ENOENT;
	}
}

int lane_choices_make(struct archive *archive, struct lane_choices *choices_out,
		      struct error *err)
{
	size_t count = places_count(archive_places(archive)) + 1;
	autolane_choices struct lane_choices choices = { 0 };
	autovolume_list struct volume_list list = { 0 };
	int r;

	r = volume_list_load(archive_catalog(archive), &list, err);
	if (r < 0)
		return r;
	choices.items = calloc(count, sizeof(*choices.items));
	if (!choices.items)
		return error_set(err, -ENOMEM, "no memory for the list of places");
	choices.count = count;
	look_at_places(archive, &choices);
	if (archive_config(archive)->volume.copies == 1)
		r = choose_one(archive, &choices, err);
	else
		for (size_t i = 0; r == 0 && i < list.count; i++)
			r = consider(archive, &list.rows[i], &choices, err);
	if (r < 0)
		return r;
	*choices_out = choices;
	choices = (struct lane_choices){ 0 };
	return 0;
}

int lane_choice_next_name(struct catalog *catalog, uint64_t *number_out, char **label_out,
			  struct error *err)
{
	autovolume_list struct volume_list list = { 0 };
	size_t first = 0;
	int r;

	r = volume_list_load(catalog, &list, err);
	if (r < 0)
		return r;
	while (first < list.count && list.rows[first].number == 0)
		first++; /* known by their UUID only */
	if (first == list.count)
		return error_set(err, -EBADMSG, "the catalog knows no volume");
	*number_out = list.rows[list.count - 1].number + 1;
	if (asprintf(label_out, "%s-%" PRIu64, list.rows[first].label, *number_out) < 0) {
		*label_out = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory for a label");
	}
	return 0;
}
