/* SPDX-License-Identifier: MIT */
/* Whose volume it is, and single records. A record is read on the word of its pages
 * (record_stripe.h) if need be, and its hash decides; chain_walk.c goes from one to the
 * next, and chain_find.c finds the last.
 */
#include "volume/chain.h"

#include "base/error.h"
#include "volume/backend.h"
#include "volume/log_end.h"
#include "volume/page_scan.h"
#include "volume/record_stripe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDENTIFY_SIZE (16u << 20)  /* bytes at the start that chain_identify() looks at */
#define IDENTIFY_FIRST (16u << 10) /* bytes of it that it reads first */
#define IDENTIFY_LAST (72u << 20)  /* bytes at the end: two extents, so a header page */
#define CLAIM_SCAN_SIZE \
	(64u << 20) /* bytes behind a stripe's start searched for headers */
#define CLAIMS_MAX 32

/* ---- identity ---- */

struct vote {
	struct uuid volume;
	unsigned count;
};

struct election {
	struct vote votes[CLAIMS_MAX];
	unsigned count;
};

/* The first stripe says whose it is. If nothing at all is left of it, any header page that
 * lies where it says it belongs will do: content can't hold one, since it does not know
 * its own place. */
struct identification {
	struct election first;    /* pages of the first stripe */
	struct election anywhere; /* header pages of any stripe */
	unsigned newer;           /* pages of newer versions */
};

/* Whether @page is one of the first stripe of its volume, where it belongs. */
static bool starts_volume(const struct page *page, uint64_t offset)
{
	if (page->identity.stripe_offset != 0)
		return false;
	if (page->kind == PAGE_TABLE)
		return page->identity.shard == 0 &&
		       offset == (uint64_t)PAGE_SIZE_BYTES * page->identity.page;
	return header_in_place(page, offset);
}

/* The front runner, and how far it is ahead of the next. */
static const struct vote *leader(const struct election *election, unsigned *lead_out)
{
	const struct vote *first = NULL;
	unsigned second = 0;

	for (unsigned i = 0; i < election->count; i++) {
		const struct vote *vote = &election->votes[i];

		if (!first || vote->count > first->count) {
			second = first ? first->count : 0;
			first = vote;
		} else if (vote->count > second) {
			second = vote->count;
		}
	}
	*lead_out = first ? first->count - second : 0;
	return first;
}

static void add_vote(struct election *election, const struct uuid *volume)
{
	unsigned i = 0;

	while (i < election->count &&
	       memcmp(election->votes[i].volume.bytes, volume->bytes, UUID_SIZE) != 0)
		i++;
	if (i == CLAIMS_MAX)
		return;
	if (i == election->count)
		election->votes[election->count++].volume = *volume;
	election->votes[i].count++;
}

/* One vote for the page's volume; ends the scan once two ahead, so that no single block
 * decides. */
static int count_vote(void *context, uint64_t offset, const struct page *page, int code)
{
	struct identification *found = context;
	unsigned lead;

	if (code == -EPROTONOSUPPORT)
		found->newer++;
	if (!page)
		return 0;
	if (header_in_place(page, offset))
		add_vote(&found->anywhere, &page->identity.volume);
	if (!starts_volume(page, offset))
		return 0;
	add_vote(&found->first, &page->identity.volume);
	(void)leader(&found->first, &lead);
	return lead >= 2;
}

/* Look at the start, and at the end if there is nothing. */
static int find_votes(struct backend *backend, struct identification *found,
		      struct error *err)
{
	uint64_t size = backend_position(backend) / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES;
	uint64_t end = size < IDENTIFY_SIZE ? size : IDENTIFY_SIZE;
	/* Two pages decide, and a healthy volume begins with them. */
	uint64_t start = end < IDENTIFY_FIRST ? end : IDENTIFY_FIRST;
	int r;

	r = page_scan_up(backend, 0, start, count_vote, found, err);
	if (r == 0)
		r = page_scan_up(backend, start, end, count_vote, found, err);
	if (r != 0 || found->anywhere.count > 0 || found->first.count > 0)
		return r;
	start = size > end + IDENTIFY_LAST ? size - IDENTIFY_LAST : end;
	return page_scan_down(backend, start, size, count_vote, found, err);
}

int chain_identify(struct backend *backend, struct uuid *volume_out, struct error *err)
{
	struct identification found = { 0 };
	const struct election *election;
	const struct vote *first;
	unsigned lead;
	int r;

	r = find_votes(backend, &found, err);
	if (r < 0)
		return r;
	election = found.first.count > 0 ? &found.first : &found.anywhere;
	first = leader(election, &lead);
	if (lead == 0 && found.newer)
		return error_set(err, -EPROTONOSUPPORT,
				 "volume '%s': written by a newer version",
				 backend->name);
	if (lead == 0)
		return error_set(err, -EBADMSG, "'%s' is not a volume: %s", backend->name,
				 first ? "its pages name several"
				       : "no valid page at its start or end");
	*volume_out = first->volume;
	return 0;
}

/* ---- one record ---- */

/* What is said about the stripe at one offset. */
struct claims {
	const struct uuid *volume;
	uint64_t offset;
	struct stripe_claim *list; /* CLAIMS_MAX */
	unsigned count;
};

static int collect_claim(void *context, uint64_t offset, const struct page *page,
			 int code)
{
	struct claims *claims = context;
	struct stripe_claim claim;

	(void)offset;
	(void)code;
	if (!page || page->identity.stripe_offset != claims->offset ||
	    !claim_from_page(page, claims->volume, &claim))
		return 0;
	for (unsigned i = 0; i < claims->count; i++)
		if (claim_equal(&claims->list[i], &claim))
			return 0;
	claims->list[claims->count++] = claim;
	return claims->count == CLAIMS_MAX;
}

/* Collect claims from the pages in [start, end) and try those that are new. */
static int read_claimed(struct backend *backend, struct claims *claims, uint64_t start,
			uint64_t end, const struct hash *expected,
			struct record **record_out, struct stripe_info *own_out,
			struct error *err)
{
	unsigned tried = claims->count;
	int r;

	r = page_scan_up(backend, start, end, collect_claim, claims, err);
	if (r < 0)
		return r;
	r = error_set(err, -EBADMSG, "no header page of a record");
	for (; tried < claims->count; tried++) {
		r = record_stripe_read(backend, claims->volume, &claims->list[tried],
				       expected, record_out, own_out, err);
		if (r != -EBADMSG)
			break;
	}
	return r;
}

int chain_read_record(struct backend *backend, const struct uuid *volume, uint64_t offset,
		      const struct hash *expected, struct record **record_out,
		      struct stripe_info *own_out, struct error *err)
{
	autofree struct stripe_claim *list = calloc(CLAIMS_MAX, sizeof(*list));
	struct claims claims = { .volume = volume, .offset = offset, .list = list };
	uint64_t end = backend_position(backend);
	struct error first = { 0 };
	int r;

	if (!list)
		return error_set_errno(err, -ENOMEM, "claims");
	end -= end % PAGE_SIZE_BYTES;
	if (offset % PAGE_SIZE_BYTES || offset >= end)
		return error_set(err, -EBADMSG, "volume '%s': no record at byte %llu",
				 backend->name, (unsigned long long)offset);

	/* Its own header page is the rule; the parity extents' are for the exception. */
	r = read_claimed(backend, &claims, offset, offset + PAGE_SIZE_BYTES, expected,
			 record_out, own_out, &first);
	if (r == -EBADMSG) {
		if (end - offset > CLAIM_SCAN_SIZE)
			end = offset + CLAIM_SCAN_SIZE;
		r = read_claimed(backend, &claims, offset + PAGE_SIZE_BYTES, end,
				 expected, record_out, own_out, err);
	} else if (r < 0) {
		(void)error_set(err, r, "%s", first.text);
	}
	if (r == -EBADMSG && claims.count > 0)
		(void)error_set(err, r, "%s", first.text);
	if (r < 0)
		return error_prefix(err, r, "volume '%s': record at byte %llu",
				    backend->name, (unsigned long long)offset);
	return 0;
}

int chain_end(const struct record *record, const struct stripe_info *own,
	      struct log_end *end_out, struct error *err)
{
	struct log_end end = {
		.volume = record->volume,
		.archive_id = record->archive_id,
	};
	int r = log_end_advance(&end, record, own);

	if (r < 0)
		return error_set_errno(err, r, "own stripe of a record");
	*end_out = end;
	return 0;
}
