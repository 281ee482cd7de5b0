/* SPDX-License-Identifier: MIT */
#include "tier/pass_report.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_build.h"
#include "merkle/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (64u << 10) /* bytes */
#define NAME_SIZE 32         /* bytes, NUL included */

/* ---- tallies ---- */

static int add_tally(struct json *parent, const char *name, const struct tally *tally)
{
	struct json *object;
	int r = json_add_object(parent, name, &object);

	if (r == 0)
		r = json_add_u64(object, "files", tally->count);
	if (r == 0)
		r = json_add_u64(object, "size", tally->size);
	return r < 0 ? r : json_add_u64(object, "space", tally->space);
}

static int read_tally(const struct json *parent, const char *name, struct tally *tally,
		      struct error *err)
{
	const struct json *object;
	int r = json_get_object(parent, name, &object, err);

	if (r == 0)
		r = json_get_u64(object, "files", &tally->count, err);
	if (r == 0)
		r = json_get_u64(object, "size", &tally->size, err);
	return r < 0 ? r : json_get_u64(object, "space", &tally->space, err);
}

static int add_skipped(struct json *parent, const struct scan_counts *counts)
{
	struct json *object;
	int r = json_add_object(parent, "skipped", &object);

	for (enum policy_skip i = POLICY_TAKE + 1; i < POLICY_SKIPS && r == 0; i++)
		if (counts->skipped[i].count > 0)
			r = add_tally(object, policy_skip_name(i), &counts->skipped[i]);
	return r;
}

static int read_skipped(const struct json *parent, struct scan_counts *counts,
			struct error *err)
{
	const struct json *object;
	enum policy_skip skip;
	int r = json_get_object(parent, "skipped", &object, err);

	if (r < 0)
		return r;
	for (const struct json *one = json_first(object); one && r == 0;
	     one = json_next(one))
		if (policy_skip_parse(json_name(one), &skip))
			r = read_tally(object, json_name(one), &counts->skipped[skip],
				       err);
	return r;
}

/* ---- results ---- */

int pass_report_add(struct json *object, const struct pass_result *result)
{
	int r;

	r = json_add_i64(object, "time", result->time);
	if (r == 0)
		r = json_add_u64(object, "duration", result->duration);
	if (r == 0)
		r = json_add_bool(object, "dry_run", result->dry_run);
	if (r == 0)
		r = json_add_bool(object, "complete", result->complete);
	if (r == 0)
		r = json_add_bool(object, "noatime", result->noatime);
	if (r == 0)
		r = json_add_u64(object, "used", result->usage.used);
	if (r == 0)
		r = json_add_u64(object, "available", result->usage.available);
	if (r == 0 && result->wanted != POLICY_ALL)
		r = json_add_u64(object, "wanted", result->wanted);
	if (r == 0)
		r = add_tally(object, "seen", &result->counts.seen);
	if (r == 0)
		r = add_tally(object, "eligible", &result->counts.eligible);
	if (r == 0)
		r = add_tally(object, "chosen", &result->chosen);
	if (r == 0)
		r = add_tally(object, "committed", &result->committed);
	if (r == 0)
		r = add_tally(object, "stubs", &result->stubs);
	return r < 0 ? r : add_skipped(object, &result->counts);
}

static int read_numbers(const struct json *json, struct pass_result *result,
			struct error *err)
{
	int r;

	r = json_get_i64(json, "time", &result->time, err);
	if (r == 0)
		r = json_get_u64(json, "duration", &result->duration, err);
	if (r == 0)
		r = json_get_bool(json, "dry_run", &result->dry_run, err);
	if (r == 0)
		r = json_get_bool(json, "complete", &result->complete, err);
	if (r == 0)
		r = json_get_bool(json, "noatime", &result->noatime, err);
	if (r == 0)
		r = json_get_u64(json, "used", &result->usage.used, err);
	if (r == 0)
		r = json_get_u64(json, "available", &result->usage.available, err);
	result->wanted = POLICY_ALL;
	if (r == 0 && json_has(json, "wanted"))
		r = json_get_u64(json, "wanted", &result->wanted, err);
	return r;
}

int pass_report_parse(const void *data, size_t size, struct pass_result *result_out,
		      struct error *err)
{
	struct pass_result result = { 0 };
	autoptr(json) json = NULL;
	int r;

	r = json_parse(data, size, FILE_MAX, &json, err);
	if (r == 0)
		r = read_numbers(json, &result, err);
	if (r == 0)
		r = read_tally(json, "seen", &result.counts.seen, err);
	if (r == 0)
		r = read_tally(json, "eligible", &result.counts.eligible, err);
	if (r == 0)
		r = read_tally(json, "chosen", &result.chosen, err);
	if (r == 0)
		r = read_tally(json, "committed", &result.committed, err);
	if (r == 0)
		r = read_tally(json, "stubs", &result.stubs, err);
	if (r == 0)
		r = read_skipped(json, &result.counts, err);
	if (r == 0)
		*result_out = result;
	return r;
}

/* ---- files ---- */

/* A folder's path may be longer than a name. */
static void file_name(const char *folder, bool dry_run, char name[NAME_SIZE])
{
	char hex[HASH_HEX_SIZE];
	struct hash hash;

	hash_bytes(folder, strlen(folder), &hash);
	hash_to_hex(&hash, hex);
	(void)snprintf(name, NAME_SIZE, "%.16s.%s.json", hex, dry_run ? "scan" : "pass");
}

int pass_report_save(int state_fd, const char *folder, const struct pass_result *result,
		     struct error *err)
{
	autoptr(json) json = json_object_new();
	autofree char *text = NULL;
	char name[NAME_SIZE];
	int r = json ? 0 : -ENOMEM;

	if (r == 0)
		r = json_add_bytes(json, "folder", folder, strlen(folder));
	if (r == 0)
		r = pass_report_add(json, result);
	if (r == 0)
		r = json_print_formatted(json, &text);
	if (r < 0)
		return error_set_errno(err, r, "report of a pass");
	file_name(folder, result->dry_run, name);
	return file_replace(state_fd, name, text, strlen(text), 0600, err);
}

int pass_report_load(int state_fd, const char *folder, bool dry_run,
		     struct pass_result *result_out, struct error *err)
{
	autofree uint8_t *data = NULL;
	char name[NAME_SIZE];
	size_t size;
	int r;

	file_name(folder, dry_run, name);
	r = file_read_all(state_fd, name, FILE_MAX, &data, &size, err);
	if (r == 0)
		r = pass_report_parse(data, size, result_out, err);
	return r;
}
