/* SPDX-License-Identifier: MIT */
/* volume add: the archive is opened twice, the second time with the place that it has got, so
 * that the volumes that lie there are taken in as they always are.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/places.h"
#include "archive/volume_add.h"
#include "archive/volume_list.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Have @place in the settings that are in force, as it now is in the file. */
static int add_place(struct config_strings *places, const char *place, struct error *err)
{
	char **grown = reallocarray(places->items, places->count + 1, sizeof(*grown));

	if (grown)
		places->items = grown;
	if (grown)
		grown[places->count] = strdup(place);
	if (!grown || !grown[places->count])
		return error_set(err, -ENOMEM, "no memory for a path");
	places->count++;
	return 0;
}

static int show_volume(const struct volume_row *volume, struct json *array)
{
	struct json *object;

	if (!array) {
		(void)printf("volume %" PRIu64 " ", volume->number);
		print_name(volume->label, strlen(volume->label));
		(void)fputs(": ", stdout);
		print_name(volume->file, strlen(volume->file));
		(void)putchar('\n');
		return 0;
	}
	if (json_add_object(array, NULL, &object) < 0)
		return -ENOMEM;
	(void)json_add_u64(object, "number", volume->number);
	(void)json_add_hex(object, "uuid", volume->uuid.bytes, UUID_SIZE);
	(void)json_add_bytes(object, "label", volume->label, strlen(volume->label));
	(void)json_add_bytes(object, "file", volume->file, strlen(volume->file));
	return 0;
}

/* The volumes in the new place; with @array, into it. */
static int show_volumes(struct archive *archive, const char *place, struct json *array,
			struct error *err)
{
	const struct places *places = archive_places(archive);
	autovolume_list struct volume_list list = { 0 };
	int r = volume_list_load(archive_catalog(archive), &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		size_t number = places_of(places, list.rows[i].file);

		if (number < places_count(places) &&
		    strcmp(places_path(places, number), place) == 0 &&
		    show_volume(&list.rows[i], array) < 0)
			r = error_set(err, -ENOMEM, "out of memory");
	}
	return r;
}

static int show(const struct invocation *invocation, struct archive *archive,
		const struct volume_add_report *report, struct error *err)
{
	autoptr(json) json = json_object_new();
	struct json *array = NULL;
	int r;

	if (!json)
		return error_set(err, -ENOMEM, "out of memory");
	if (!invocation->json && invocation->quiet)
		return 0;
	if (invocation->json && json_add_array(json, "volumes", &array) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	if (!invocation->json) {
		print_name(report->place, strlen(report->place));
		(void)printf(" %s a place of the archive\n",
			     report->is_place ? "already is" : "is now");
	}
	r = show_volumes(archive, report->place, array, err);
	if (r < 0 || !invocation->json)
		return r;
	(void)json_add_bytes(json, "place", report->place, strlen(report->place));
	(void)json_add_bool(json, "added", !report->is_place);
	(void)json_add_bool(json, "same_disk", report->same_disk && !report->is_place);
	print_json(json);
	return 0;
}

/* Open the archive anew with the new place, and say what came with it. */
static enum exit_code take_in(struct invocation *invocation,
			      const struct volume_add_report *report)
{
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r = 0;

	if (!report->is_place)
		r = add_place(&invocation->config.volume.more_directories, report->place,
			      &err);
	if (r < 0)
		return fail(r, &err);
	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	if (report->same_disk && !report->is_place)
		log_warn("it is on the same file system as another place: a disk that "
			 "is lost takes both");
	r = show(invocation, archive, report, &err);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

static enum exit_code run(struct invocation *invocation)
{
	const char *path = options_argument(invocation->options, 0);
	struct volume_add_report report = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_add(archive, path, invocation->config.file, &report, &err);
	archive_free(take_ptr(archive));
	code = r < 0 ? fail(r, &err) : take_in(invocation, &report);
	volume_add_report_done(&report);
	return code;
}

const struct command command_volume_add = {
	.name = "volume add",
	.summary = "attach a folder, or a disk, with or without volumes in it",
	.usage = "PATH",
	.details =
		"PATH is a folder, or a volume file in one. The folder becomes a place: "
		"it is added to [volume]\nmore_directories in the archive's config.toml, "
		"and its volumes are taken in. Nothing is changed if a\nfile in it is a "
		"volume of another archive, a second file of a volume that is attached, "
		"or one in an\nolder state than the archive knows.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
