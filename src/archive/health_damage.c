/* SPDX-License-Identifier: MIT */
/* Findings of one stripe come from several workers, so in almost no order. Each is tried on
 * the ranges that came last; what is left apart is put together when the stripe is done.
 */
#include "archive/health_damage.h"

#include "base/budget.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_LEAST 64u
#define LOOK_BACK 32u /* ranges that a finding is tried on */

const char *damage_kind_name(enum scrub_kind kind)
{
	static const char *const names[] = {
		[SCRUB_HEADER_PAGE] = "header page",
		[SCRUB_TABLE_PAGE] = "table page",
		[SCRUB_LEAF] = "leaf",
		[SCRUB_PARITY_LEAF] = "parity leaf",
		[SCRUB_PARITY_PAGES] = "parity pages",
		[SCRUB_GAP] = "gap",
		[SCRUB_RECORD] = "record",
	};

	return names[kind];
}

const char *damage_outcome_name(enum scrub_outcome outcome)
{
	static const char *const names[] = {
		[SCRUB_REPAIRABLE] = "repairable",
		[SCRUB_REPAIRED] = "repaired",
		[SCRUB_NOT_WRITTEN] = "not written",
		[SCRUB_LOST] = "lost",
	};

	return names[outcome];
}

static bool same_fate(const struct damage_range *a, const struct damage_range *b)
{
	return a->volume == b->volume && a->kind == b->kind && a->outcome == b->outcome &&
	       a->stripe == b->stripe && a->extent == b->extent && a->code == b->code;
}

/* Add @b to @a if it comes right behind it. */
static bool append(struct damage_range *a, const struct damage_range *b)
{
	if (!same_fate(a, b) || a->offset + a->size != b->offset)
		return false;
	a->size += b->size;
	a->places += b->places;
	if (a->log_size == 0)
		a->log_offset = b->log_offset;
	a->log_size += b->log_size;
	return true;
}

static bool prepend(struct damage_range *a, const struct damage_range *b)
{
	struct damage_range joined = *b;

	if (!append(&joined, a))
		return false;
	*a = joined;
	return true;
}

static bool grow(struct damage_list *list)
{
	size_t capacity = list->capacity ? 2 * list->capacity : CAPACITY_LEAST;
	size_t more = (capacity - list->capacity) * sizeof(*list->items);
	struct damage_range *grown;

	if (list->count < list->capacity)
		return true;
	if (capacity > DAMAGE_RANGES_MAX ||
	    budget_reserve(list->budget, more, "the list of damage", NULL) < 0)
		return false;
	grown = realloc(list->items, capacity * sizeof(*grown));
	if (!grown) {
		budget_release(list->budget, more);
		return false;
	}
	list->items = grown;
	list->capacity = capacity;
	return true;
}

void damage_list_add(struct damage_list *list, unsigned volume,
		     const struct scrub_finding *finding)
{
	const struct damage_range range = {
		.volume = volume,
		.kind = finding->kind,
		.outcome = finding->outcome,
		.offset = finding->offset,
		.size = finding->size,
		.places = 1,
		.stripe = finding->stripe,
		.extent = finding->extent,
		.log_offset = finding->log_offset,
		.log_size = finding->log_size,
		.code = finding->code,
	};
	size_t end = list->count;

	for (size_t n = 0; n < LOOK_BACK && end - n > list->open; n++) {
		struct damage_range *item = &list->items[end - n - 1];

		if (append(item, &range) || prepend(item, &range))
			return;
	}
	if (grow(list))
		list->items[list->count++] = range;
	else
		list->dropped++;
}

static int compare(const void *a, const void *b)
{
	const struct damage_range *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

void damage_list_end_stripe(struct damage_list *list, unsigned margin, size_t *first_out)
{
	size_t count = list->open;

	*first_out = list->open;
	if (list->count == list->open)
		return;
	qsort(list->items + list->open, list->count - list->open, sizeof(*list->items),
	      compare);
	for (size_t i = list->open; i < list->count; i++) {
		list->items[i].margin = margin;
		if (count > list->open &&
		    append(&list->items[count - 1], &list->items[i]))
			continue;
		list->items[count++] = list->items[i];
	}
	list->count = count;
	list->open = count;
}

void damage_list_done(struct damage_list *list)
{
	free(list->items);
	if (list->budget)
		budget_release(list->budget, list->capacity * sizeof(*list->items));
	*list = (struct damage_list){ .budget = list->budget };
}
