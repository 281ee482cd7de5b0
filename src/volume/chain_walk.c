/* SPDX-License-Identifier: MIT */
/* The links between records. A record names the one before it by offset and hash, and lists
 * that one's own stripe, so walking back is the well-lit direction: each step has a hash to
 * compare with and authentic geometry, even if every header page there is lost.
 *
 * Going forward means walking back first and remembering where the records are. A chain may
 * have any number of records, so the memory for that is bounded: when a trail is full,
 * every other mark is dropped, and from then on only each second (fourth, eighth...) record
 * gets one. What lies between two marks is walked back once more when its turn comes, with
 * a trail of its own. Up to MARKS_MAX records are read twice, up to MARKS_MAX squared three
 * times, and so on.
 *
 * A record that only somebody else has (a group of the outer code, after a burst) is as good as
 * one that was read: it must have the hash that the next one names. Its mark keeps the stripe
 * that the next one listed, since nothing at its place tells.
 */
#include "volume/chain.h"

#include "base/error.h"
#include "volume/backend.h"
#include "volume/record_stripe.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <stdlib.h>

#define MARKS_MAX 64u /* power of two; of 40 bytes, one trail for each level */

/* A record and its own stripe; a step of a walk. */
struct link {
	struct record *record;
	struct stripe_info own;
	bool rescued; /* it is not on the medium */
};

static void link_done(struct link *link)
{
	if (link->record)
		stripe_info_done(&link->own);
	record_free(link->record);
	link->record = NULL;
}

/* What @record says about the stripe of the record before it; NULL if nothing. */
static const struct stripe_info *listed_previous(const struct record *record)
{
	for (size_t i = 0; i < record->stripe_count; i++)
		if (record->stripes[i].offset == record->previous_offset &&
		    record->stripes[i].kind != STRIPE_DATA)
			return &record->stripes[i];
	return NULL;
}

/* Read the record with @hash whose stripe is @stripe, which some record listed. */
static int rescue_record(const struct stripe_rescue *rescue,
			 const struct stripe_info *stripe, const struct hash *hash,
			 struct link *link, struct error *err)
{
	size_t size = stripe->data_count == 1 ? stripe->extents[0].payload_size : 0;
	autofree uint8_t *payload = malloc(size + 1);
	autoptr(record) record = NULL;
	int r;

	if (!payload)
		return error_set_errno(err, -ENOMEM, "record");
	if (size == 0 || size > 2 * RECORD_SIZE_MAX || stripe_check(stripe, NULL) < 0)
		return -EBADMSG;
	r = rescue->read(rescue->context, stripe->log_start, payload, size, NULL);
	if (r == 0)
		r = record_from_payload(payload, size, &record, NULL);
	if (r < 0 || !hash_equal(&record->hash, hash))
		return r == -ENOMEM ? error_set_errno(err, r, "record") : -EBADMSG;
	if (stripe_info_copy(stripe, &link->own) < 0)
		return error_set_errno(err, -ENOMEM, "record");
	link->record = take_ptr(record);
	link->rescued = true;
	return 0;
}

static int read_previous(struct backend *backend, const struct stripe_rescue *rescue,
			 const struct record *record, struct link *link,
			 struct error *err)
{
	const struct stripe_info *listed = listed_previous(record);

	if (listed) {
		int r;

		r = record_stripe_read_listed(backend, &record->volume, listed,
					      &record->previous_hash, &link->record,
					      &link->own, NULL);
		if (r == -EBADMSG && rescue)
			r = rescue_record(rescue, listed, &record->previous_hash, link,
					  err);
		if (r != -EBADMSG)
			return r;
	}
	return chain_read_record(backend, &record->volume, record->previous_offset,
				 &record->previous_hash, &link->record, &link->own, err);
}

/* Replace @link by the record before it. */
static int step_back(struct backend *backend, const struct stripe_rescue *rescue,
		     struct link *link, struct error *err)
{
	struct link previous __attribute__((__cleanup__(link_done))) = { NULL };
	int r;

	if (link->record->previous_offset >= link->own.offset)
		return error_set(
			err, -EBADMSG,
			"volume '%s': the record at byte %llu names one behind it",
			backend->name, (unsigned long long)link->own.offset);
	r = read_previous(backend, rescue, link->record, &previous, err);
	if (r < 0)
		return r;
	if (previous.record->sequence + 1 != link->record->sequence)
		return error_set(err, -EBADMSG,
				 "volume '%s': a record is missing before byte %llu",
				 backend->name, (unsigned long long)link->own.offset);
	link_done(link);
	*link = previous;
	previous.record = NULL;
	return 0;
}

static bool is_first(const struct record *record)
{
	return record->previous_offset == RECORD_OFFSET_NONE;
}

int chain_visit_back(struct backend *backend, const struct uuid *volume,
		     const struct stripe_rescue *rescue,
		     int (*visit)(void *context, const struct record *record,
				  const struct stripe_info *own, struct error *err),
		     void *context, struct error *err)
{
	struct link link __attribute__((__cleanup__(link_done))) = { NULL };
	int r;

	r = chain_find_last(backend, volume, &link.record, &link.own, err);
	if (r < 0)
		return r;
	for (;;) {
		r = visit(context, link.record, &link.own, err);
		if (r < 0 || is_first(link.record))
			return r;
		r = step_back(backend, rescue, &link, err);
		if (r < 0)
			return r;
	}
}

/* Where a record is. */
struct mark {
	uint64_t offset;
	struct hash hash;
	uint64_t sequence;
	struct stripe_info own; /* owned; of a record that was rescued, else zero */
};

/* Every @step-th record of a stretch, newest first, the newest included. */
struct trail {
	struct mark *marks; /* MARKS_MAX */
	size_t count;
	uint64_t step;
	uint64_t passed; /* records of the stretch so far */
};

static void trail_done(struct trail *trail)
{
	for (size_t i = 0; i < trail->count; i++)
		stripe_info_done(&trail->marks[i].own);
	free(trail->marks);
}

static int trail_init(struct trail *trail, struct error *err)
{
	*trail = (struct trail){ .step = 1 };
	trail->marks = malloc(MARKS_MAX * sizeof(*trail->marks));
	return trail->marks ? 0 : error_set_errno(err, -ENOMEM, "list of records");
}

/* Drop every other mark. */
static void trail_thin(struct trail *trail)
{
	for (size_t i = 0; i < trail->count / 2; i++) {
		stripe_info_done(&trail->marks[2 * i + 1].own);
		trail->marks[i] = trail->marks[2 * i];
	}
	trail->count /= 2;
	trail->step *= 2;
}

static int trail_add(struct trail *trail, const struct link *link, struct error *err)
{
	struct mark *mark;

	if (trail->passed++ % trail->step != 0)
		return 0;
	if (trail->count == MARKS_MAX)
		trail_thin(trail); /* an even count: this record is still due */
	mark = &trail->marks[trail->count++];
	*mark = (struct mark){ .offset = link->own.offset,
			       .hash = link->record->hash,
			       .sequence = link->record->sequence };
	if (link->rescued && stripe_info_copy(&link->own, &mark->own) < 0)
		return error_set_errno(err, -ENOMEM, "list of records");
	return 0;
}

/* What chain_visit_after() looks at. */
struct walk {
	struct backend *backend;
	const struct log_end *end;
	const struct stripe_rescue *rescue; /* or NULL */
	int (*visit)(void *context, const struct record *record,
		     const struct stripe_info *own, struct error *err);
	void *context;
};

static int not_continued(struct backend *backend, struct error *err)
{
	return error_set(err, -EBADMSG,
			 "volume '%s' is not a continuation of what is known of it",
			 backend->name);
}

/* Whether @link is the record that @end stands behind. Past it: a negative result. */
static int at_end(struct backend *backend, const struct link *link,
		  const struct log_end *end, struct error *err)
{
	if (link->record->sequence + 1 > end->sequence)
		return 0;
	if (link->own.offset == end->previous_offset &&
	    hash_equal(&link->record->hash, &end->previous_hash))
		return 1;
	return not_continued(backend, err);
}

/* From @link, the last record, back to the one that walk->end stands behind. */
static int follow_back(const struct walk *walk, struct link *link, struct trail *trail,
		       struct error *err)
{
	int r;

	if (link->record->sequence + 1 < walk->end->sequence)
		return error_set(err, -ESTALE,
				 "volume '%s' is older than what is known of it",
				 walk->backend->name);
	for (;;) {
		r = at_end(walk->backend, link, walk->end, err);
		if (r != 0)
			return r < 0 ? r : 0;
		r = trail_add(trail, link, err);
		if (r < 0)
			return r;
		if (is_first(link->record))
			return walk->end->sequence == 0
				       ? 0
				       : not_continued(walk->backend, err);
		r = step_back(walk->backend, walk->rescue, link, err);
		if (r < 0)
			return r;
	}
}

static int read_marked(const struct walk *walk, const struct mark *mark,
		       struct link *link, struct error *err)
{
	int r;

	if (mark->own.extents) {
		r = rescue_record(walk->rescue, &mark->own, &mark->hash, link, err);
		return r == -EBADMSG
			       ? error_set(err, r, "a record could be had only once")
			       : r;
	}
	return chain_read_record(walk->backend, &walk->end->volume, mark->offset,
				 &mark->hash, &link->record, &link->own, err);
}

/* From the record at @newest back to record number @oldest. */
static int follow_stretch(const struct walk *walk, const struct mark *newest,
			  uint64_t oldest, struct trail *trail, struct error *err)
{
	struct link link __attribute__((__cleanup__(link_done))) = { NULL };
	int r;

	r = read_marked(walk, newest, &link, err);
	if (r < 0)
		return r;
	for (;;) {
		r = trail_add(trail, &link, err);
		if (r < 0 || link.record->sequence <= oldest)
			return r;
		r = step_back(walk->backend, walk->rescue, &link, err);
		if (r < 0)
			return r;
	}
}

static int visit_marked(const struct walk *walk, const struct mark *mark,
			struct error *err)
{
	struct link link __attribute__((__cleanup__(link_done))) = { NULL };
	int r;

	r = read_marked(walk, mark, &link, err);
	if (r < 0)
		return r;
	return walk->visit(walk->context, link.record, &link.own, err);
}

/* Visit the records of @trail from number @oldest on, oldest first. */
static int visit_trail(const struct walk *walk, struct trail *trail, uint64_t oldest,
		       struct error *err)
{
	int r = 0;

	while (r == 0 && trail->count > 0) {
		struct mark *mark = &trail->marks[trail->count - 1];
		struct trail between __attribute__((__cleanup__(trail_done))) = { NULL };

		if (mark->sequence > oldest) {
			r = trail_init(&between, err);
			if (r == 0)
				r = follow_stretch(walk, mark, oldest, &between, err);
			if (r == 0)
				r = visit_trail(walk, &between, oldest, err);
		} else {
			r = visit_marked(walk, mark, err);
		}
		oldest = mark->sequence + 1;
		stripe_info_done(&mark->own);
		trail->count--;
	}
	return r;
}

int chain_visit_after(struct backend *backend, const struct log_end *end,
		      const struct stripe_rescue *rescue,
		      int (*visit)(void *context, const struct record *record,
				   const struct stripe_info *own, struct error *err),
		      void *context, struct error *err)
{
	const struct walk walk = { backend, end, rescue, visit, context };
	struct link link __attribute__((__cleanup__(link_done))) = { NULL };
	struct trail trail __attribute__((__cleanup__(trail_done))) = { NULL };
	int r;

	r = chain_find_last(backend, &end->volume, &link.record, &link.own, err);
	if (r < 0)
		return r;
	r = trail_init(&trail, err);
	if (r == 0)
		r = follow_back(&walk, &link, &trail, err);
	if (r < 0)
		return r;
	link_done(&link);
	r = visit_trail(&walk, &trail, end->sequence, err);
	return r < 0 ? r : 0;
}
