/* SPDX-License-Identifier: MIT */
/* The last whole record of a volume, from its end backwards.
 *
 * Every valid header page of the volume is a hint: a record stripe's names itself, any other
 * the last record before it. Hints cost one try each and can do no harm, because a record
 * that decodes at its place exists; the farthest one is kept (`best`). The question is when
 * to stop looking: the search ends at the first stripe that is *established*, that is two
 * header pages, each where it belongs, describe it alike. If that is a record stripe that
 * decodes, or the record before it decodes, no later record can be missing: everything
 * behind the stripe was seen, and by the writer's law nothing but the stripe itself lies
 * between the record that it names and its own start (a tail's stripes all name the same
 * record, however many sessions made it).
 *
 * One page alone never ends the search, so one block that does not belong where it lies (an
 * old copy, a fork's, another volume's) changes nothing. A torn stripe may have one header
 * page only: the search goes on to the stripe before it. If the record that an established
 * stripe names is lost, the search continues from there: what lies between is tail, be it
 * ever so long.
 */
#include "volume/chain.h"

#include "base/error.h"
#include "volume/backend.h"
#include "volume/page_scan.h"
#include "volume/record_stripe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY 64 /* stripes and hints remembered */

/* A stripe as the first header page met describes it. */
struct sighting {
	uint64_t offset; /* of that page */
	struct page page;
};

/* A record that was looked for, at the place and in the way that a page says. */
struct hint {
	bool claimed; /* by @claim; else @offset and @hash, from a later stripe */
	struct stripe_claim claim;
	uint64_t offset;
	struct hash hash;
	bool whole; /* it was found */
};

struct search {
	struct backend *backend;
	const struct uuid *volume;
	struct sighting *sightings; /* MEMORY, a ring */
	unsigned sighting_count;
	struct hint *hints; /* MEMORY, a ring */
	unsigned hint_count;
	struct record *best; /* the farthest whole record met */
	struct stripe_info own;
	unsigned newer;       /* pages of newer versions met */
	uint64_t continue_at; /* if GO_ON_BELOW */
	struct error *err;
};

enum {
	FOUND = 1,       /* nothing farther than @best is missing */
	GO_ON_BELOW = 2, /* no whole record lies at continue_at or behind it, but @best */
};

static void drop_best(struct search *search)
{
	if (search->best)
		stripe_info_done(&search->own);
	record_free(search->best);
	search->best = NULL;
}

static void search_done(struct search *search)
{
	drop_best(search);
	free(search->sightings);
	free(search->hints);
}

/* Keep the farther one. Takes both. */
static void keep_best(struct search *search, struct record *record,
		      struct stripe_info *own)
{
	if (search->best && search->own.offset >= own->offset) {
		stripe_info_done(own);
		record_free(record);
		return;
	}
	drop_best(search);
	search->best = record;
	search->own = *own;
}

static bool hint_equal(const struct hint *a, const struct hint *b)
{
	if (a->claimed != b->claimed)
		return false;
	if (a->claimed)
		return claim_equal(&a->claim, &b->claim);
	return a->offset == b->offset && hash_equal(&a->hash, &b->hash);
}

/* Look for the record once. 1 if it is whole, 0 if not. */
static int try_hint(struct search *search, struct hint *hint)
{
	struct record *record;
	struct stripe_info own;
	int r;

	for (unsigned i = 0; i < search->hint_count && i < MEMORY; i++)
		if (hint_equal(&search->hints[i], hint))
			return search->hints[i].whole;

	if (hint->claimed)
		r = record_stripe_read(search->backend, search->volume, &hint->claim,
				       NULL, &record, &own, search->err);
	else
		r = chain_read_record(search->backend, search->volume, hint->offset,
				      &hint->hash, &record, &own, search->err);
	if (r < 0 && r != -EBADMSG)
		return r;
	hint->whole = r == 0;
	search->hints[search->hint_count++ % MEMORY] = *hint;
	if (hint->whole)
		keep_best(search, record, &own);
	return hint->whole;
}

/* The record stripe that @page belongs to. */
static int try_own(struct search *search, const struct page *page)
{
	struct hint hint = { .claimed = true };

	if (!claim_from_page(page, search->volume, &hint.claim))
		return 0;
	return try_hint(search, &hint);
}

/* The record before the stripe that @page belongs to. */
static int try_previous(struct search *search, const struct page *page)
{
	struct hint hint = {
		.offset = page->header.previous_offset,
		.hash = page->header.previous_hash,
	};

	if (hint.offset >= page->identity.stripe_offset || hint.offset % PAGE_SIZE_BYTES)
		return 0;
	return try_hint(search, &hint);
}

static bool same_stripe(const struct page *a, const struct page *b)
{
	return memcmp(a->identity.epoch.bytes, b->identity.epoch.bytes, UUID_SIZE) == 0 &&
	       a->identity.stripe == b->identity.stripe &&
	       a->identity.stripe_offset == b->identity.stripe_offset &&
	       a->header.stripe_kind == b->header.stripe_kind &&
	       a->header.previous_offset == b->header.previous_offset &&
	       hash_equal(&a->header.previous_hash, &b->header.previous_hash);
}

/* Whether another header page in place described the stripe of @page alike. Notes it. */
static bool established(struct search *search, uint64_t offset, const struct page *page)
{
	struct sighting *sighting;

	for (unsigned i = 0; i < search->sighting_count && i < MEMORY; i++) {
		sighting = &search->sightings[i];
		if (sighting->offset != offset && same_stripe(&sighting->page, page))
			return true;
	}
	sighting = &search->sightings[search->sighting_count++ % MEMORY];
	sighting->offset = offset;
	sighting->page = *page;
	return false;
}

/* Where to look on, once the stripe of @page is certain and it and the record before it
 * are known not to be whole. */
static int go_on_below(struct search *search, const struct page *page)
{
	uint64_t previous = page->header.previous_offset;

	if (previous == RECORD_OFFSET_NONE)
		return FOUND; /* there never was a record before it */
	if (previous >= page->identity.stripe_offset || previous % PAGE_SIZE_BYTES)
		return 0;
	search->continue_at = previous;
	return GO_ON_BELOW;
}

static int visit(void *context, uint64_t offset, const struct page *page, int code)
{
	struct search *search = context;
	int whole;

	if (code == -EPROTONOSUPPORT)
		search->newer++;
	if (!page || page->kind != PAGE_HEADER ||
	    memcmp(page->identity.volume.bytes, search->volume->bytes, UUID_SIZE) != 0)
		return 0;

	whole = try_own(search, page);
	if (whole == 0)
		whole = try_previous(search, page);
	if (whole < 0)
		return whole;
	if (!header_in_place(page, offset) || !established(search, offset, page))
		return 0;
	return whole ? FOUND : go_on_below(search, page);
}

static int run(struct search *search)
{
	uint64_t end = backend_position(search->backend);
	int r;

	end -= end % PAGE_SIZE_BYTES;
	do {
		r = page_scan_down(search->backend, 0, end, visit, search, search->err);
		end = search->continue_at;
	} while (r == GO_ON_BELOW);
	return r < 0 ? r : 0;
}

int chain_find_last(struct backend *backend, const struct uuid *volume,
		    struct record **record_out, struct stripe_info *own_out,
		    struct error *err)
{
	struct search search __attribute__((__cleanup__(search_done))) = {
		.backend = backend,
		.volume = volume,
		.sightings = calloc(MEMORY, sizeof(struct sighting)),
		.hints = calloc(MEMORY, sizeof(struct hint)),
		.err = err,
	};
	int r;

	if (!search.sightings || !search.hints)
		return error_set_errno(err, -ENOMEM, "search for the last record");
	r = run(&search);
	if (r < 0)
		return r;
	if (search.newer >= 2)
		return error_set(err, -EPROTONOSUPPORT,
				 "volume '%s': written by a newer version",
				 backend->name);
	if (!search.best)
		return error_set(err, -EBADMSG, "volume '%s': no whole record",
				 backend->name);
	*record_out = take_ptr(search.best);
	*own_out = search.own;
	return 0;
}
