/* SPDX-License-Identifier: MIT */
/* One volume, as a row of parts from its beginning to its end: when each of them was verified,
 * and what was found. Goes by the ledger, and so reads no volume. */
#include "serve/op.h"

#include "base/error.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "catalog/ledger.h"
#include "catalog/placement.h"
#include "serve/answer.h"
#include "serve/request.h"

#include <errno.h>

#define PARTS 60u /* of a volume that has as many stripes */

struct part {
	uint64_t stripes;
	uint64_t unverified;
	uint64_t damaged;
	uint64_t lost;
	int64_t oldest; /* verification; 0: none */
};

struct parts {
	struct request *request;
	struct uuid volume;
	uint64_t number;
	bool found;
	uint64_t count; /* stripes */
	uint64_t next;  /* stripe */
	struct part all[PARTS];
	struct error *err;
};

static int find_volume(void *context, const struct volume_row *volume)
{
	struct parts *parts = context;

	if (volume->number != parts->number)
		return 0;
	parts->volume = volume->uuid;
	parts->found = true;
	return 0;
}

static int count_stripe(void *context, const struct stripe_info *stripe)
{
	struct parts *parts = context;

	(void)stripe;
	parts->count++;
	return request_is_wanted(parts->request, parts->err);
}

/* A commit may have added stripes since they were counted: those are in the last part. */
static struct part *next_part(struct parts *parts)
{
	uint64_t pieces = parts->count < PARTS ? parts->count : PARTS;
	uint64_t at = parts->next++ * pieces / parts->count;

	return &parts->all[at < pieces ? at : pieces - 1];
}

static int add_stripe(void *context, const struct stripe_info *stripe)
{
	struct parts *parts = context;
	struct part *part = next_part(parts);
	struct ledger_entry entry;
	int r;

	r = request_is_wanted(parts->request, parts->err);
	if (r == 0)
		r = ledger_get(parts->request->catalog, &parts->volume, stripe->offset,
			       &entry, parts->err);
	if (r < 0)
		return r;
	part->stripes++;
	if (r == CATALOG_END) {
		part->unverified++;
		return 0;
	}
	part->damaged += entry.damaged;
	part->lost += entry.lost;
	if (part->oldest == 0 || entry.verified < part->oldest)
		part->oldest = entry.verified;
	return 0;
}

static int gather(struct parts *parts, struct error *err)
{
	struct catalog *catalog = parts->request->catalog;
	int r;

	r = catalog_visit_volumes(catalog, find_volume, parts, err);
	if (r == 0 && !parts->found)
		r = error_set(err, -ENOENT, "there is no such volume");
	if (r == 0)
		r = catalog_visit_stripes(catalog, &parts->volume, count_stripe, parts,
					  err);
	if (r == 0 && parts->count > 0)
		r = catalog_visit_stripes(catalog, &parts->volume, add_stripe, parts,
					  err);
	return r;
}

static void write_part(struct json_writer *json, const struct part *part)
{
	char time[TIMESTAMP_TEXT_MAX];

	json_write_object(json, NULL);
	json_write_u64(json, "stripes", part->stripes);
	json_write_u64(json, "unverified", part->unverified);
	json_write_u64(json, "damaged", part->damaged);
	json_write_u64(json, "lost", part->lost);
	if (part->oldest)
		json_write_string(json, "oldest_verification",
				  timestamp_format_utc(part->oldest, time));
	json_write_end(json);
}

static int write_parts(const struct parts *parts, struct text *text)
{
	struct json_writer json;

	json_writer_init(&json, text);
	json_write_object(&json, NULL);
	json_write_u64(&json, "number", parts->number);
	json_write_u64(&json, "stripes", parts->count);
	json_write_array(&json, "parts");
	for (size_t i = 0; i < PARTS && i < parts->count; i++)
		write_part(&json, &parts->all[i]);
	json_write_end(&json);
	json_write_end(&json);
	return json_writer_finish(&json);
}

int op_volume(struct request *request, struct error *err)
{
	struct parts parts = { .request = request,
			       .number = request->number,
			       .err = err };
	autotext struct text text = { 0 };
	int r;

	r = request_take_catalog(request, err);
	if (r == 0)
		r = request_begin_scan(request, err);
	if (r == 0)
		r = gather(&parts, err);
	if (r < 0)
		return r;
	if (write_parts(&parts, &text) < 0 || text_append(&text, "\n") < 0)
		return error_set(err, -ENOMEM, "no memory for an answer");
	return answer_text(request, 200, "application/json", &text, err);
}
