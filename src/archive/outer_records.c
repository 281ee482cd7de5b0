/* SPDX-License-Identifier: MIT */
/* Which stripes there were, stands in the entries of the groups; what the records among them
 * said comes from the groups' parity. So a lost volume is known to the end of what was
 * grouped, with its places and heads, as if it were on a shelf.
 */
#include "archive/outer_records.h"

#include "archive/outer_read.h"
#include "archive/volume_set.h"
#include "base/error.h"
#include "volume/record_stripe.h"

#include <inttypes.h>
#include <string.h>

/* The record must be the one that belongs into this stripe. */
static int check_record(const struct uuid *volume, const struct stripe_info *stripe,
			const struct record *record, struct error *err)
{
	if (memcmp(&record->volume, volume, UUID_SIZE) != 0 ||
	    memcmp(&record->epoch, &stripe->epoch, UUID_SIZE) != 0 ||
	    record->kind != stripe->kind || record->stripe_number != stripe->number ||
	    record->log_end != stripe->log_start)
		return error_set(err, -EBADMSG, "the record belongs elsewhere");
	return 0;
}

static int read_record(struct volume_set *set, const struct uuid *volume,
		       const struct stripe_info *stripe, struct record **record_out,
		       struct error *err)
{
	size_t size = stripe->extents[0].payload_size;
	autofree uint8_t *payload = malloc(size + 1);
	autoptr(record) record = NULL;
	int r;

	if (!payload)
		return error_set(err, -ENOMEM, "no memory for a record");
	r = volume_set_read(set, volume, stripe->log_start, payload, size, NULL);
	if (r < 0)
		r = outer_read(set, volume, stripe->log_start, payload, size, err);
	if (r == 0)
		r = record_from_payload(payload, size, &record, err);
	if (r == 0)
		r = check_record(volume, stripe, record, err);
	if (r < 0)
		return r;
	*record_out = take_ptr(record);
	return 0;
}

static int visit_stripe(struct volume_set *set, const struct uuid *volume,
			const struct stripe_info *stripe,
			int (*visit)(void *context, const struct stripe_info *stripe,
				     const struct record *record, struct error *err),
			void *context, struct error *err)
{
	autoptr(record) record = NULL;
	int r = 0;

	if (stripe->kind != STRIPE_DATA)
		r = read_record(set, volume, stripe, &record, err);
	if (r < 0)
		return error_prefix(err, r, "stripe %" PRIu64, stripe->number);
	return visit(context, stripe, record, err);
}

int outer_visit_stripes(struct volume_set *set, const struct uuid *volume, uint64_t start,
			int (*visit)(void *context, const struct stripe_info *stripe,
				     const struct record *record, struct error *err),
			void *context, struct error *err)
{
	for (;;) {
		struct stripe_info stripe = { 0 };
		uint64_t size;
		int r;

		r = volume_set_find_stripe(set, volume, start, &stripe, NULL);
		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return error_set(err, r,
					 "the catalog does not say which stripes "
					 "there were");
		r = visit_stripe(set, volume, &stripe, visit, context, err);
		size = stripe_log_size(&stripe);
		start = stripe.log_start + size;
		stripe_info_done(&stripe);
		if (r != 0 || size == 0)
			return r;
	}
}
