/* SPDX-License-Identifier: MIT */
#include "archive/safety.h"

#include "base/json_build.h"
#include "base/timestamp.h"

#include <limits.h>
#include <string.h>

static void add_time(struct json *object, const char *name, int64_t time)
{
	char text[TIMESTAMP_TEXT_MAX];

	if (time)
		(void)json_add_string(object, name, timestamp_format_utc(time, text));
}

static void add_volume(struct json *array, const struct safety_volume *volume)
{
	const char *label = volume->row.label ? volume->row.label : "";
	struct json *object;

	if (json_add_object(array, NULL, &object) < 0)
		return;
	(void)json_add_hex(object, "uuid", volume->row.uuid.bytes, UUID_SIZE);
	(void)json_add_u64(object, "number", volume->row.number);
	(void)json_add_bytes(object, "label", label, strlen(label));
	(void)json_add_bool(object, "attached", volume->attached);
	(void)json_add_bool(object, "sealed", volume->row.sealed);
	(void)json_add_bool(object, "retired", volume->row.retired);
	if (volume->attached) {
		(void)json_add_u64(object, "size", volume->size);
		(void)json_add_u64(object, "allocated", volume->allocated);
	}
	(void)json_add_u64(object, "payload", volume->row.payload_size);
	(void)json_add_u64(object, "stripes", volume->row.stripe_count);
	(void)json_add_u64(object, "stripes_unverified", volume->unverified);
	(void)json_add_u64(object, "damaged", volume->ledger.damaged);
	(void)json_add_u64(object, "lost", volume->ledger.lost);
	add_time(object, "oldest_verification", volume->ledger.oldest);
	if (volume->ledger.margin != UINT_MAX)
		(void)json_add_u32(object, "margin", volume->ledger.margin);
}

static void add_run(struct json *json, const struct ledger_run *run)
{
	struct json *object;

	if (json_add_object(json, "last_run", &object) < 0)
		return;
	add_time(object, "started", run->started);
	add_time(object, "ended", run->ended);
	(void)json_add_bool(object, "repair", run->repair);
	(void)json_add_bool(object, "deep", run->deep);
	(void)json_add_u64(object, "verified", run->bytes);
	(void)json_add_u64(object, "found", run->found);
	(void)json_add_u64(object, "repaired", run->repaired);
	(void)json_add_u64(object, "lost", run->lost);
}

static void add_outer(struct json *json, const struct safety *safety)
{
	char code[CONFIG_CODE_TEXT_MAX];

	if (safety->code.data > 0)
		(void)json_add_string(json, "outer",
				      config_code_format(&safety->code, code));
	(void)json_add_u64(json, "protected_against_volume_loss",
			   safety->outer.protected_size);
	(void)json_add_u64(json, "unprotected_against_volume_loss",
			   safety->copies > 1 && safety->code.data == 0
				   ? safety->missing.bytes
				   : safety->outer.unprotected_size);
	(void)json_add_u64(json, "groups", safety->outer.groups);
	(void)json_add_u64(json, "groups_incomplete", safety->outer.incomplete);
}

static void add_burst(struct json *json, const struct safety *safety)
{
	if (safety->burst_size == 0)
		return;
	(void)json_add_u64(json, "burst", safety->burst_size);
	(void)json_add_u64(json, "protected_against_burst", safety->burst.covered);
	(void)json_add_u64(json, "unprotected_against_burst", safety->burst.uncovered);
	(void)json_add_u64(json, "burst_due", safety->burst.due);
}

static void add_copies(struct json *json, const struct safety *safety)
{
	(void)json_add_u32(json, "copies", safety->copies);
	(void)json_add_u32(json, "min_copies", safety->min_copies);
	(void)json_add_u64(json, "segments_with_fewer_copies", safety->missing.segments);
	(void)json_add_u64(json, "bytes_with_fewer_copies", safety->missing.bytes);
	(void)json_add_u64(json, "pages_with_fewer_copies", safety->missing.pages);
}

void safety_add_json(const struct safety *safety, struct json *json)
{
	struct json *array;

	(void)json_add_string(json, "verdict", safety_name(safety->verdict));
	if (safety->advice)
		(void)json_add_string(json, "next", safety->advice);
	(void)json_add_u64(json, "payload", safety->payload);
	add_outer(json, safety);
	add_burst(json, safety);
	add_copies(json, safety);
	(void)json_add_u32(json, "due_after_days", safety->due_days);
	(void)json_add_u64(json, "stripes", safety->stripes);
	(void)json_add_u64(json, "stripes_unverified", safety->unverified);
	(void)json_add_u64(json, "damaged", safety->damaged);
	(void)json_add_u64(json, "lost", safety->lost);
	(void)json_add_u64(json, "volumes_away", safety->away);
	if (safety->margin != UINT_MAX)
		(void)json_add_u32(json, "margin", safety->margin);
	add_time(json, "oldest_verification", safety->oldest);
	if (safety->any_run)
		add_run(json, &safety->run);
	if (json_add_array(json, "volumes", &array) == 0)
		for (size_t i = 0; i < safety->count; i++)
			add_volume(array, &safety->volumes[i]);
}
