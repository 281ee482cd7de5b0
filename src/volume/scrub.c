/* SPDX-License-Identifier: MIT */
/* The records say what a volume holds, so they come first: the chain is walked back from the
 * last record to the header, and then forwards, each record with the stripes that it lists.
 * What a stripe's header pages say of the record before it is in the record that lists them:
 * they were written in the same session, after the same record. The stripe of a record itself
 * follows from that record (record_stripe.h).
 *
 *     header record · stripes that record 1 lists · stripe of record 1 · ... · last record
 *
 * Where a record is beyond repair the chain ends, and nobody can tell which of the stripes that
 * it listed were meant. Then the walk goes backwards, piece by piece, as a rebuild of the
 * catalog does: everything that some record lists is scrubbed, the rest is told as one loss.
 *
 * What lies behind the last record's stripe is the tail of a writer, running or dead. It is
 * nobody's, and left alone.
 */
#include "volume/scrub.h"

#include "base/clock.h"
#include "base/error.h"
#include "volume/backend.h"
#include "volume/backend_cut.h"
#include "volume/backend_scan.h"
#include "volume/chain.h"
#include "volume/mend.h"
#include "volume/scrub_stripe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Walking the chain, and one repair at a time. */
#define RECORDS_MEMORY (CHAIN_MEMORY + 2u * MEND_RUN_MAX)

struct walk {
	struct scrub scrub;
	unsigned buffer_count;
	uint64_t records;      /* visited */
	bool failed;           /* it was the scrub that failed, not reading the chain */
	uint64_t previous;     /* offset of the record before the one visited last... */
	uint64_t previous_end; /* ...and where its stripe ends */
};

static bool is_wanted(const struct walk *walk, const struct stripe_info *info)
{
	const struct scrub_observer *observer = &walk->scrub.options->observer;

	return !observer->wanted || observer->wanted(observer->context, info);
}

static int take_stripe(struct walk *walk, const struct record *record,
		       const struct stripe_info *info, struct error *err)
{
	const struct scrub_observer *observer = &walk->scrub.options->observer;
	struct scrub_report *report = walk->scrub.report;
	int r = 0;

	if (is_wanted(walk, info)) {
		r = scrub_stripe(&walk->scrub, info, record->previous_offset,
				 &record->previous_hash, err);
		report->stripes++;
	} else {
		report->skipped++;
		if (observer->progress)
			observer->progress(observer->context, stripe_written_size(info));
	}
	return r;
}

/* Where the volume ends, or should. */
static void note_end(struct walk *walk, const struct stripe_info *own)
{
	struct scrub_report *report = walk->scrub.report;
	uint64_t end = own->offset + stripe_physical_size(own);
	uint64_t size = backend_position(walk->scrub.options->backend);

	if (end <= report->end)
		return;
	report->end = end;
	report->missing = end > size ? end - size : 0;
}

static int take_record(struct walk *walk, const struct record *record,
		       const struct stripe_info *own, struct error *err)
{
	int r;

	for (size_t i = 0; i < record->stripe_count; i++) {
		const struct stripe_info *info = &record->stripes[i];

		/* The stripe of the record before belongs to that one's visit. */
		r = stripe_check(info, err);
		if (r == 0 && info->offset == record->previous_offset &&
		    info->kind != STRIPE_DATA)
			walk->previous_end = info->offset + stripe_physical_size(info);
		else if (r == 0)
			r = take_stripe(walk, record, info, err);
		if (r < 0)
			return r;
	}
	return take_stripe(walk, record, own, err);
}

static int visit(void *context, const struct record *record,
		 const struct stripe_info *own, struct error *err)
{
	struct walk *walk = context;
	int r;

	walk->records++;
	if (record->sequence >= walk->scrub.report->records)
		walk->scrub.report->records = record->sequence + 1;
	walk->previous = walk->previous_end = record->previous_offset;
	note_end(walk, own);
	r = take_record(walk, record, own, err);
	walk->failed = r < 0;
	return r;
}

/* Everything in [start, end) that no record lists any more. */
static void tell_broken(struct walk *walk, uint64_t start, uint64_t end)
{
	const struct scrub_observer *observer = &walk->scrub.options->observer;
	const struct scrub_finding finding = {
		.kind = SCRUB_RECORD,
		.outcome = SCRUB_LOST,
		.offset = start,
		.size = end - start,
	};

	walk->scrub.report->broken = true;
	walk->scrub.report->lost++;
	if (observer->found)
		observer->found(observer->context, &finding);
}

static int note_piece_end(void *context, const struct record *record,
			  const struct stripe_info *own, struct error *err)
{
	uint64_t *end_out = context;

	(void)record;
	(void)err;
	*end_out = own->offset + stripe_physical_size(own);
	return -ECANCELED; /* the last one only */
}

/* Where the last record before @end that can be read ends; 0 if there is none. */
static int find_piece_end(struct walk *walk, struct backend *cut, uint64_t *end_out,
			  struct error *err)
{
	int r = chain_visit_back(cut, &walk->scrub.options->volume, NULL, note_piece_end,
				 end_out, err);

	return r == -ECANCELED || r == -EBADMSG ? 0 : r;
}

/* The records before @end, newest first, as far as the chain goes. 1: it broke. */
static int visit_piece(struct walk *walk, uint64_t end, struct error *err)
{
	autoptr(backend) cut = NULL;
	uint64_t start = 0;
	int r;

	r = backend_cut_new(walk->scrub.options->backend, end, &cut, err);
	if (r < 0)
		return r;
	if (walk->records) {
		r = find_piece_end(walk, cut, &start, err);
		if (r < 0)
			return r;
		tell_broken(walk, start, walk->previous_end);
		if (start == 0)
			return 0;
	}
	r = chain_visit_back(cut, &walk->scrub.options->volume,
			     walk->scrub.options->rescue, visit, walk, err);
	return r == -EBADMSG && !walk->failed && walk->records ? 1 : r;
}

/* In pieces, backwards. */
static int visit_broken(struct walk *walk, struct error *err)
{
	uint64_t end = backend_position(walk->scrub.options->backend);
	int r;

	do {
		r = visit_piece(walk, end, err);
		end = walk->previous;
	} while (r > 0 && end != RECORD_OFFSET_NONE);
	return r < 0 ? r : 0;
}

/* Without it nothing is written into a stripe of which nothing is left. */
static void find_landmark(struct walk *walk)
{
	const struct scrub_options *options = walk->scrub.options;
	autoptr(record) record = NULL;

	if (options->rescue)
		(void)chain_find_last(options->backend, &options->volume, &record,
				      &walk->scrub.landmark, NULL);
}

static int run(struct walk *walk, struct error *err)
{
	const struct scrub_options *options = walk->scrub.options;
	const struct log_end beginning = { .volume = options->volume };
	int r;

	r = chain_visit_after(options->backend, &beginning, options->rescue, visit, walk,
			      err);
	if (r == -EBADMSG && walk->records == 0)
		r = visit_broken(walk, err);
	return r;
}

static int get_buffers(struct walk *walk, struct error *err)
{
	const struct scrub_options *options = walk->scrub.options;
	unsigned count = pool_threads(options->pool) + 1;
	int r = 0;

	walk->scrub.buffers = calloc(count, sizeof(*walk->scrub.buffers));
	if (!walk->scrub.buffers)
		return error_set_errno(err, -ENOMEM, "scrub");
	walk->buffer_count = count;
	for (unsigned i = 0; i < count && r == 0; i++)
		r = buffer_alloc(&walk->scrub.buffers[i], options->budget,
				 BACKEND_SCAN_MAX, "reading a volume", err);
	return r;
}

static void walk_done(struct walk *walk)
{
	for (unsigned i = 0; i < walk->buffer_count; i++)
		buffer_free(&walk->scrub.buffers[i]);
	free(walk->scrub.buffers);
	stripe_info_done(&walk->scrub.landmark);
	mutex_done(&walk->scrub.mutex);
	mutex_done(&walk->scrub.mending);
	mutex_done(&walk->scrub.pacing);
}

int scrub_volume(const struct scrub_options *options, struct scrub_report *report_out,
		 struct error *err)
{
	struct walk walk = {
		.scrub = { .options = options,
			   .report = report_out,
			   .begun = clock_monotonic_ns() },
	};
	int r;

	*report_out = (struct scrub_report){ 0 };
	mutex_init(&walk.scrub.mutex);
	mutex_init(&walk.scrub.mending);
	mutex_init(&walk.scrub.pacing);
	r = budget_reserve(options->budget, RECORDS_MEMORY, "the records of a volume",
			   err);
	if (r == 0) {
		r = get_buffers(&walk, err);
		if (r == 0)
			find_landmark(&walk);
		if (r == 0)
			r = run(&walk, err);
		budget_release(options->budget, RECORDS_MEMORY);
	}
	walk_done(&walk);
	return r;
}
