/* SPDX-License-Identifier: MIT */
#include "archive/volume_info.h"

#include "base/error.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIME_TEXT_MAX 40 /* bytes: seconds, a point, nine digits */

int volume_info_add_member(struct volume_info *info, const struct uuid *uuid,
			   uint64_t number, const char *label, bool parity)
{
	struct volume_member *grown;
	char *copy;

	grown = realloc(info->members, (info->member_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	info->members = grown;
	copy = strdup(label);
	if (!copy)
		return -ENOMEM;
	grown[info->member_count++] =
		(struct volume_member){ *uuid, number, copy, parity };
	return 0;
}

void volume_info_done(struct volume_info *info)
{
	for (size_t i = 0; i < info->member_count; i++)
		free(info->members[i].label);
	free(info->members);
	free(info->label);
	*info = (struct volume_info){ 0 };
}

static void write_members(struct json_writer *writer, const struct volume_info *info)
{
	json_write_array(writer, "volumes");
	for (size_t i = 0; i < info->member_count; i++) {
		const struct volume_member *member = &info->members[i];

		json_write_object(writer, NULL);
		json_write_hex(writer, "uuid", member->uuid.bytes, UUID_SIZE);
		json_write_string(writer, "label", member->label);
		json_write_u64(writer, "number", member->number);
		if (member->parity)
			json_write_string(writer, "role", "parity");
		if (member->retired)
			json_write_bool(writer, "retired", true);
		json_write_end(writer);
	}
	json_write_end(writer);
}

static void write_policy(struct json_writer *writer, const struct volume_info *info)
{
	json_write_object(writer, "policy");
	json_write_string(writer, "policy", info->policy.tiered ? "tiered" : "compact");
	json_write_u32(writer, "data", info->policy.data);
	json_write_u32(writer, "parity", info->policy.parity);
	json_write_u64(writer, "spread", info->policy.spread);
	if (info->policy.burst > 0) {
		json_write_u64(writer, "burst", info->policy.burst);
		json_write_u64(writer, "burst_from", info->policy.burst_from);
		json_write_u32(writer, "burst_data", info->policy.burst_data);
	}
	if (info->policy.outer_data > 0) {
		json_write_u32(writer, "outer_data", info->policy.outer_data);
		json_write_u32(writer, "outer_parity", info->policy.outer_parity);
	}
	if (info->policy.copies > 1) {
		json_write_u32(writer, "copies", info->policy.copies);
		json_write_u32(writer, "min_copies", info->policy.min_copies);
	}
	json_write_end(writer);
}

int volume_info_encode(const struct volume_info *info, char **json_out, struct error *err)
{
	autotext struct text text = { 0 };
	struct json_writer writer;
	char created[TIME_TEXT_MAX];
	int r;

	(void)snprintf(created, sizeof(created), "%" PRId64 ".%09" PRIu32,
		       info->created.seconds, info->created.nanoseconds);
	json_writer_init(&writer, &text);
	json_write_object(&writer, NULL);
	json_write_string(&writer, "label", info->label);
	json_write_u64(&writer, "number", info->number);
	if (info->parity)
		json_write_string(&writer, "role", "parity");
	json_write_string(&writer, "created", created);
	write_members(&writer, info);
	write_policy(&writer, info);
	if (!hash_is_zero(&info->head))
		json_write_hex(&writer, "head", info->head.bytes, HASH_SIZE);
	json_write_end(&writer);
	r = json_writer_finish(&writer);
	if (r < 0)
		return error_set(err, r, "label '%s' of a volume is not UTF-8 text",
				 info->label);
	*json_out = text_take(&text);
	return *json_out ? 0 : error_set(err, -ENOMEM, "no memory for a volume's header");
}

/* "1700000000.123456789", as the writer makes it: nine digits behind the point. */
static int parse_time(const char *text, struct entry_time *time_out)
{
	const char *point = strchr(text, '.');
	char seconds[NUMBER_TEXT_MAX] = { 0 };
	uint32_t nanoseconds = 0;

	if (!point || (size_t)(point - text) >= sizeof(seconds) || strlen(point) != 10)
		return -EBADMSG;
	memcpy(seconds, text, (size_t)(point - text));
	if (number_parse_i64(seconds, &time_out->seconds) < 0)
		return -EBADMSG;
	for (const char *p = point + 1; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EBADMSG;
		nanoseconds = nanoseconds * 10 + (uint32_t)(*p - '0');
	}
	time_out->nanoseconds = nanoseconds;
	return 0;
}

/* What a volume is for; without "role" it holds data. */
static int decode_role(const struct json *json, bool *parity_out, struct error *err)
{
	const char *role;
	int r;

	if (!json_has(json, "role"))
		return 0;
	r = json_get_string(json, "role", &role, err);
	if (r < 0)
		return r;
	if (strcmp(role, "parity") != 0)
		return error_set(err, -EBADMSG, "unknown role '%.32s'", role);
	*parity_out = true;
	return 0;
}

static int decode_member(const struct json *json, struct volume_info *info,
			 struct error *err)
{
	struct uuid uuid;
	bool parity = false;
	const char *label;
	uint64_t number;
	int r;

	r = json_get_hex(json, "uuid", uuid.bytes, UUID_SIZE, err);
	if (r < 0)
		return r;
	r = json_get_string(json, "label", &label, err);
	if (r < 0)
		return r;
	r = json_get_u64(json, "number", &number, err);
	if (r < 0)
		return r;
	r = decode_role(json, &parity, err);
	if (r < 0)
		return r;
	r = volume_info_add_member(info, &uuid, number, label, parity);
	if (r < 0)
		return error_set(err, r, "no memory for the list of volumes");
	if (!json_has(json, "retired"))
		return 0;
	return json_get_bool(json, "retired",
			     &info->members[info->member_count - 1].retired, err);
}

static int decode_members(const struct json *json, struct volume_info *info,
			  struct error *err)
{
	const struct json *members;
	int r;

	r = json_get_array(json, "volumes", &members, err);
	if (r < 0)
		return r;
	if (json_count(members) > VOLUME_INFO_MEMBERS_MAX)
		return error_set(err, -EBADMSG, "%zu volumes in one set",
				 json_count(members));
	for (const struct json *v = json_first(members); v; v = json_next(v)) {
		r = decode_member(v, info, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_copies(const struct json *policy, struct volume_info *info,
			 struct error *err)
{
	int r = json_get_u32(policy, "copies", &info->policy.copies, err);

	return r < 0 ? r
		     : json_get_u32(policy, "min_copies", &info->policy.min_copies, err);
}

static int decode_burst(const struct json *policy, struct volume_info *info,
			struct error *err)
{
	int r;

	r = json_get_u64(policy, "burst", &info->policy.burst, err);
	if (r == 0)
		r = json_get_u64(policy, "burst_from", &info->policy.burst_from, err);
	return r < 0 ? r
		     : json_get_u32(policy, "burst_data", &info->policy.burst_data, err);
}

static int decode_policy(const struct json *json, struct volume_info *info,
			 struct error *err)
{
	const struct json *policy;
	const char *name;
	int r;

	r = json_get_object(json, "policy", &policy, err);
	if (r < 0)
		return r;
	r = json_get_string(policy, "policy", &name, err);
	if (r < 0)
		return r;
	info->policy.tiered = strcmp(name, "tiered") == 0;
	if (!info->policy.tiered && strcmp(name, "compact") != 0)
		return error_set(err, -EBADMSG, "unknown policy '%.32s'", name);
	r = json_get_u32(policy, "data", &info->policy.data, err);
	if (r < 0)
		return r;
	r = json_get_u32(policy, "parity", &info->policy.parity, err);
	if (r < 0)
		return r;
	r = json_get_u64(policy, "spread", &info->policy.spread, err);
	info->policy.copies = 1;
	if (r == 0 && json_has(policy, "copies"))
		r = decode_copies(policy, info, err);
	if (r == 0 && json_has(policy, "burst"))
		r = decode_burst(policy, info, err);
	if (r < 0 || !json_has(policy, "outer_data"))
		return r;
	r = json_get_u32(policy, "outer_data", &info->policy.outer_data, err);
	if (r < 0)
		return r;
	return json_get_u32(policy, "outer_parity", &info->policy.outer_parity, err);
}

static int decode_own(const struct json *json, struct volume_info *info,
		      struct error *err)
{
	const char *text;
	int r;

	r = json_get_string(json, "label", &text, err);
	if (r < 0)
		return r;
	info->label = strdup(text);
	if (!info->label)
		return error_set(err, -ENOMEM, "no memory for a label");
	r = json_get_u64(json, "number", &info->number, err);
	if (r < 0)
		return r;
	r = decode_role(json, &info->parity, err);
	if (r < 0)
		return r;
	r = json_get_string(json, "created", &text, err);
	if (r < 0)
		return r;
	r = parse_time(text, &info->created);
	if (r < 0)
		return error_set(err, r, "'created' is not a time");
	if (!json_has(json, "head"))
		return 0;
	return json_get_hex(json, "head", info->head.bytes, HASH_SIZE, err);
}

static int decode_all(const struct json *json, struct volume_info *info,
		      struct error *err)
{
	int r;

	r = decode_own(json, info, err);
	if (r < 0)
		return r;
	r = decode_members(json, info, err);
	if (r < 0)
		return r;
	return decode_policy(json, info, err);
}

int volume_info_decode(const char *json, size_t size, struct volume_info *info_out,
		       struct error *err)
{
	autovolume_info struct volume_info info = { 0 };
	autoptr(json) document = NULL;
	int r;

	r = json_parse(json, size, RECORD_SIZE_MAX, &document, err);
	if (r >= 0)
		r = decode_all(document, &info, err);
	if (r < 0)
		return error_prefix(err, r, "header of a volume");
	*info_out = info;
	info = (struct volume_info){ 0 };
	return 0;
}
