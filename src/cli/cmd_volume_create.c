/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/places.h"
#include "archive/volume_verbs.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The place that @path is, by its name as it is configured, or as the same folder. */
static int find_place(const struct places *places, const char *path, size_t *place_out,
		      struct error *err)
{
	struct stat wanted, st;
	bool there = stat(path, &wanted) == 0;

	for (size_t i = 0; i < places_count(places); i++) {
		if (strcmp(places_path(places, i), path) != 0 &&
		    (!there || places_stat(places, i, &st) < 0 ||
		     st.st_dev != wanted.st_dev || st.st_ino != wanted.st_ino))
			continue;
		*place_out = i;
		return 0;
	}
	return error_set(err, -ENOENT,
			 "'%s' is no place of this archive: name it in [volume] "
			 "more_directories",
			 path);
}

static void show(const struct invocation *invocation, const struct volume_row *volume)
{
	autoptr(json) json = json_object_new();

	if (invocation->json && json) {
		(void)json_add_u64(json, "number", volume->number);
		(void)json_add_hex(json, "uuid", volume->uuid.bytes, UUID_SIZE);
		(void)json_add_bytes(json, "label", volume->label, strlen(volume->label));
		(void)json_add_bytes(json, "file", volume->file, strlen(volume->file));
		print_json(json);
	} else if (!invocation->json && !invocation->quiet) {
		(void)printf("volume %" PRIu64 " ", volume->number);
		print_name(volume->label, strlen(volume->label));
		(void)fputs(": ", stdout);
		print_name(volume->file, strlen(volume->file));
		(void)putchar('\n');
	}
}

static enum exit_code run(struct invocation *invocation)
{
	const char *path = option_value(invocation->options, "place");
	const char *label = option_value(invocation->options, "label");
	struct volume_row volume = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	size_t place = 0;
	int r = 0;

	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	if (path)
		r = find_place(archive_places(archive), path, &place, &err);
	if (r == 0)
		r = volume_begin(archive, place, label, &volume, &err);
	if (r == 0)
		show(invocation, &volume);
	volume_row_done(&volume);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

const struct command command_volume_create = {
	.name = "volume create",
	.summary = "begin a new volume",
	.usage = "[--place DIR] [--label TEXT]",
	.details = "The next commits fill it. DIR is one of the archive's places, by "
		   "default "
		   "the first.",
	.options =
		(const struct option_spec[]){
			{ 0, "place", "DIR", "begin it in this place" },
			{ 0, "label", "TEXT", "what people call it" },
			{ 0 },
		},
	.run = run,
};
