/* SPDX-License-Identifier: MIT */
/* An open volume that is away counts as one of those in use: it comes back or is replaced,
 * and a set does not grow by a volume for each commit meanwhile. If all of them are away the
 * last one is chosen, and who opens it says that it is not attached. (Parity need not wait:
 * what is away is passed over.)
 */
#include "archive/volume_choice.h"

#include "archive/outer_cover.h"
#include "archive/places.h"
#include "archive/volume_list.h"
#include "archive/volume_set.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>

void volume_choice_done(struct volume_choice *choice)
{
	volume_row_done(&choice->row);
	free(choice->first_label);
	*choice = (struct volume_choice){ 0 };
}

static bool is_taken(const struct uuid *uuid, const struct uuid *taken, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&taken[i], uuid, UUID_SIZE) == 0)
			return true;
	return false;
}

static bool is_attached(struct volume_set *volumes, const struct uuid *uuid)
{
	autofree char *name = NULL;

	return volume_set_find_file(volumes, uuid, &name, NULL) == 0;
}

/* Which may be chosen. */
struct search {
	struct catalog *catalog;
	struct volume_set *volumes;
	enum volume_role role;
	const struct uuid *taken;
	size_t taken_count;
	unsigned open; /* found: volumes that are not sealed */
};

/* Of the open volumes that are attached, that which holds least, or NULL; and the last one of
 * all. */
static const struct volume_row *choose(struct search *search,
				       const struct volume_list *list,
				       const struct volume_row **last_out)
{
	const struct volume_row *best = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct volume_row *row = &list->rows[i];

		if (row->role != search->role || row->retired ||
		    is_taken(&row->uuid, search->taken, search->taken_count) ||
		    (!row->sealed && outer_is_cut(search->catalog, row)))
			continue;
		*last_out = row;
		if (row->sealed)
			continue;
		search->open++;
		if (best && row->payload_size >= best->payload_size)
			continue;
		if (is_attached(search->volumes, &row->uuid))
			best = row;
	}
	return best;
}

/* Each volume in another place, as long as there are enough: a place is what gets lost. */
static size_t choose_place(const struct volume_list *list, const struct places *places)
{
	size_t best = 0, least = SIZE_MAX;

	for (size_t i = 0; i < places_count(places); i++) {
		size_t count = 0;
		struct stat st;

		if (places_stat(places, i, &st) < 0)
			continue;
		for (size_t j = 0; j < list->count; j++)
			count += !list->rows[j].sealed && list->rows[j].file &&
				 places_of(places, list->rows[j].file) == i;
		if (count < least) {
			best = i;
			least = count;
		}
	}
	return best;
}

static int copy_row(const struct volume_row *row, struct volume_row *copy_out)
{
	*copy_out = *row;
	copy_out->file = NULL;
	copy_out->label = strdup(row->label ? row->label : "");
	return copy_out->label ? 0 : -ENOMEM;
}

static int fill(struct volume_choice *choice, const struct volume_list *list,
		const struct volume_row *row)
{
	const char *first = list->rows[0].label;

	for (size_t i = 0; i < list->count; i++)
		if (list->rows[i].number >= choice->next_number)
			choice->next_number = list->rows[i].number + 1;
	choice->first_label = strdup(first ? first : "");
	if (!choice->first_label)
		return -ENOMEM;
	return row ? copy_row(row, &choice->row) : 0;
}

int volume_choice_make(struct catalog *catalog, struct volume_set *volumes,
		       enum volume_role role, unsigned wanted, const struct uuid *taken,
		       size_t taken_count, struct volume_choice *choice_out,
		       struct error *err)
{
	autovolume_choice struct volume_choice choice = { .next_number = 1 };
	autovolume_list struct volume_list list = { 0 };
	const struct volume_row *row;
	const struct volume_row *last = NULL;
	struct search search = { catalog, volumes, role, taken, taken_count, 0 };
	int r;

	r = volume_list_load(catalog, &list, err);
	if (r < 0)
		return error_prefix(err, r, "list of volumes");
	if (list.count == 0)
		return error_set(err, -EBADMSG, "the catalog knows no volume");
	row = choose(&search, &list, &last);
	if (role == VOLUME_DATA && (wanted == 1 || !row))
		row = last;
	else if (!row)
		search.open = 0; /* none that is of use */
	r = fill(&choice, &list, row ? row : last);
	if (r < 0)
		return error_set(err, r, "no memory to choose a volume");
	if (role == VOLUME_PARITY || wanted > 1)
		choice.place = choose_place(&list, volume_set_places(volumes));
	choice.found = row && !row->sealed && search.open >= wanted;
	*choice_out = choice;
	choice = (struct volume_choice){ 0 };
	return 0;
}
