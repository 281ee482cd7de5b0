/* SPDX-License-Identifier: MIT */
#include "cli/health_report.h"

#include "cli/print.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "catalog/history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINTED_MAX 100u /* ranges, and files; --json and --report have all of them */

/* ---- for people ---- */

static void print_volume_name(const struct health_volume *volume)
{
	(void)printf("volume %" PRIu64, volume->number);
	if (volume->label[0]) {
		(void)fputs(" '", stdout);
		print_name(volume->label, strlen(volume->label));
		(void)putchar('\'');
	}
}

static bool is_sound(const struct health_volume *volume)
{
	const struct scrub_report *scrub = &volume->scrub;

	return scrub->repairable + scrub->repaired + scrub->not_written + scrub->lost ==
		       0 &&
	       scrub->missing == 0 && volume->appended == 0 && volume->lost_records == 0;
}

static void print_places(const struct scrub_report *scrub)
{
	if (scrub->repaired)
		(void)printf(", %" PRIu64 " places repaired", scrub->repaired);
	if (scrub->repairable)
		(void)printf(", %" PRIu64 " places can be repaired", scrub->repairable);
	if (scrub->not_written)
		(void)printf(", %" PRIu64 " places were rebuilt and could not be written",
			     scrub->not_written);
	if (scrub->lost)
		(void)printf(", %" PRIu64 " places are lost", scrub->lost);
}

static void print_volume(const struct health_volume *volume)
{
	const struct scrub_report *scrub = &volume->scrub;
	char size[SIZE_TEXT_MAX];

	print_volume_name(volume);
	if (!volume->file) {
		(void)puts(": not attached");
		return;
	}
	(void)printf(": %s, %s verified",
		     !volume->checked   ? "not checked to its end"
		     : is_sound(volume) ? "sound"
					: "damaged",
		     size_format(scrub->bytes, size));
	if (scrub->skipped)
		(void)printf(", %" PRIu64 " of %" PRIu64 " stripes were not due",
			     scrub->skipped, scrub->skipped + scrub->stripes);
	print_places(scrub);
	if (volume->appended)
		(void)printf(", %s of its last record's parity appended",
			     size_format(volume->appended, size));
	if (scrub->missing)
		(void)printf(", %s are missing at its end",
			     size_format(scrub->missing, size));
	if (volume->lost_records)
		(void)printf(", the last %" PRIu64
			     " records that the catalog knows are gone",
			     volume->lost_records);
	if (volume->margin != UINT_MAX)
		(void)printf("; every stripe can still lose %u extents", volume->margin);
	(void)putchar('\n');
	if (volume->problem)
		(void)printf("  %s\n", volume->problem);
}

static void print_range(const struct health_report *report,
			const struct damage_range *range)
{
	(void)printf("  %-11s %s: %" PRIu64 " bytes at %" PRIu64 " of volume %" PRIu64,
		     damage_outcome_name(range->outcome), damage_kind_name(range->kind),
		     range->size, range->offset, report->volumes[range->volume].number);
	if (range->kind != SCRUB_RECORD)
		(void)printf(", stripe %" PRIu64 ", extent %u", range->stripe,
			     range->extent);
	if (range->code)
		(void)printf(": %s", strerror(-range->code));
	(void)putchar('\n');
}

static void print_ranges(const struct health_report *report)
{
	const struct damage_list *damage = &report->damage;

	for (size_t i = 0; i < damage->count && i < PRINTED_MAX; i++)
		print_range(report, &damage->items[i]);
	if (damage->count > PRINTED_MAX)
		(void)printf("  and %zu more ranges\n", damage->count - PRINTED_MAX);
}

static void print_file(const struct health_file *file)
{
	(void)printf("  %-11s ", health_state_name(file->state));
	print_name(file->path, strlen(file->path));
	(void)printf(" (version %" PRIu32 ", commits %" PRIu64 " to ", file->version,
		     file->first);
	if (file->end == VERSION_CURRENT)
		(void)fputs("now)", stdout);
	else
		(void)printf("%" PRIu64 ")", file->end - 1);
	for (size_t i = 0; i < file->lost_count && i < PRINTED_MAX; i++)
		(void)printf("%s%" PRIu64 " bytes at %" PRIu64, i ? ", " : ": ",
			     file->lost[i].size, file->lost[i].offset);
	if (file->lost_count > PRINTED_MAX)
		(void)printf(", and %zu more ranges", file->lost_count - PRINTED_MAX);
	(void)putchar('\n');
}

static void print_files(const struct health_files *files)
{
	uint64_t total = files->states[HEALTH_REPAIRED] + files->states[HEALTH_DEGRADED] +
			 files->states[HEALTH_LOST];
	size_t printed = 0;

	if (files->deep)
		(void)printf("%" PRIu64 " different contents were read and compared\n",
			     files->deep - files->away);
	if (files->lost_pages)
		(void)printf("%" PRIu64 " pages of the tree are lost: the catalog still "
			     "has what they said, and the next commit writes them anew "
			     "where they change\n",
			     files->lost_pages);
	if (total == 0)
		return;
	(void)printf("file versions: %" PRIu64 " whole again, %" PRIu64
		     " with less protection, %" PRIu64 " with lost bytes\n",
		     files->states[HEALTH_REPAIRED], files->states[HEALTH_DEGRADED],
		     files->states[HEALTH_LOST]);
	for (int state = HEALTH_LOST; state >= HEALTH_REPAIRED; state--)
		for (size_t i = 0; i < files->count && printed < PRINTED_MAX; i++)
			if ((int)files->items[i].state == state) {
				print_file(&files->items[i]);
				printed++;
			}
	if (total > printed)
		(void)printf("  and %" PRIu64 " more\n", total - printed);
}

static void print_copies(const struct copy_up_report *copies)
{
	char size[SIZE_TEXT_MAX];

	if (copies->segments > 0)
		(void)printf("copies: %" PRIu64
			     " segments (%s) were copied to where they "
			     "were missing\n",
			     copies->segments, size_format(copies->bytes, size));
	if (copies->missing.segments > 0)
		(void)printf("copies: %" PRIu64 " segments (%s) have too few\n",
			     copies->missing.segments,
			     size_format(copies->missing.bytes, size));
}

void health_report_print(const struct health_report *report, bool check)
{
	char elapsed[TIMESTAMP_TEXT_MAX];
	char size[SIZE_TEXT_MAX];
	char rate[SIZE_TEXT_MAX];

	for (size_t i = 0; i < report->volume_count; i++)
		print_volume(&report->volumes[i]);
	print_ranges(report);
	print_files(&report->files);
	print_copies(&report->copies);
	(void)printf("verified %s in %s (%s): ", size_format(report->bytes, size),
		     duration_format(report->elapsed, elapsed),
		     format_rate(report->bytes, report->elapsed, rate));
	if (health_found_loss(report))
		(void)puts("something is lost");
	else if (!health_found_damage(report))
		(void)puts("nothing is wrong");
	else if (check)
		(void)puts("there is damage; 'blockframe health' repairs it");
	else
		(void)puts("damage was found and repaired");
	if (report->ledger_code)
		(void)printf("what was verified could not be noted in full: %s\n",
			     report->ledger_code == -EBUSY
				     ? "a commit keeps the catalog"
				     : "the catalog can't be written here");
}

/* ---- JSON ---- */

static void add_volume(struct json *array, const struct health_volume *volume)
{
	const struct scrub_report *scrub = &volume->scrub;
	struct json *object;

	if (json_add_object(array, NULL, &object) < 0)
		return;
	(void)json_add_hex(object, "uuid", volume->uuid.bytes, UUID_SIZE);
	(void)json_add_u64(object, "number", volume->number);
	(void)json_add_bytes(object, "label", volume->label, strlen(volume->label));
	(void)json_add_bool(object, "attached", volume->file);
	if (!volume->file)
		return;
	(void)json_add_bytes(object, "file", volume->file, strlen(volume->file));
	(void)json_add_bool(object, "checked", volume->checked);
	(void)json_add_bool(object, "sound", volume->checked && is_sound(volume));
	if (volume->problem)
		(void)json_add_bytes(object, "problem", volume->problem,
				     strlen(volume->problem));
	(void)json_add_u64(object, "stripes", scrub->stripes);
	(void)json_add_u64(object, "stripes_not_due", scrub->skipped);
	(void)json_add_u64(object, "verified", scrub->bytes);
	(void)json_add_u64(object, "repairable", scrub->repairable);
	(void)json_add_u64(object, "repaired", scrub->repaired);
	(void)json_add_u64(object, "not_written", scrub->not_written);
	(void)json_add_u64(object, "lost", scrub->lost);
	(void)json_add_u64(object, "missing", scrub->missing);
	(void)json_add_u64(object, "appended", volume->appended);
	(void)json_add_u64(object, "lost_records", volume->lost_records);
	if (volume->margin != UINT_MAX)
		(void)json_add_u32(object, "margin", volume->margin);
}

static void add_range(struct json *array, const struct health_report *report,
		      const struct damage_range *range)
{
	const struct health_volume *volume = &report->volumes[range->volume];
	struct json *object;

	if (json_add_object(array, NULL, &object) < 0)
		return;
	(void)json_add_hex(object, "volume", volume->uuid.bytes, UUID_SIZE);
	(void)json_add_string(object, "outcome", damage_outcome_name(range->outcome));
	(void)json_add_string(object, "kind", damage_kind_name(range->kind));
	(void)json_add_u64(object, "offset", range->offset);
	(void)json_add_u64(object, "size", range->size);
	(void)json_add_u64(object, "places", range->places);
	(void)json_add_u64(object, "stripe", range->stripe);
	(void)json_add_u32(object, "extent", range->extent);
	(void)json_add_u32(object, "margin", range->margin);
	if (range->code)
		(void)json_add_string(object, "reason", strerror(-range->code));
}

static void add_file(struct json *array, const struct health_file *file)
{
	struct json *object, *lost, *range;

	if (json_add_object(array, NULL, &object) < 0)
		return;
	(void)json_add_bytes(object, "path", file->path, strlen(file->path));
	(void)json_add_u32(object, "version", file->version);
	(void)json_add_u64(object, "first", file->first);
	if (file->end != VERSION_CURRENT)
		(void)json_add_u64(object, "end", file->end);
	(void)json_add_string(object, "state", health_state_name(file->state));
	(void)json_add_u32(object, "segments", file->segments);
	if (file->margin != UINT_MAX)
		(void)json_add_u32(object, "margin", file->margin);
	if (file->lost_count == 0 || json_add_array(object, "lost", &lost) < 0)
		return;
	for (size_t i = 0; i < file->lost_count; i++) {
		if (json_add_object(lost, NULL, &range) < 0)
			return;
		(void)json_add_u64(range, "offset", file->lost[i].offset);
		(void)json_add_u64(range, "size", file->lost[i].size);
	}
}

static void add_copies(struct json *json, const struct copy_up_report *copies)
{
	struct json *object;

	if (json_add_object(json, "copies", &object) < 0)
		return;
	(void)json_add_u64(object, "segments_copied", copies->segments);
	(void)json_add_u64(object, "bytes_copied", copies->bytes);
	(void)json_add_u64(object, "pages_copied", copies->pages);
	(void)json_add_u64(object, "heads_copied", copies->heads);
	(void)json_add_u64(object, "unreadable", copies->unreadable);
	(void)json_add_u64(object, "segments_missing", copies->missing.segments);
	(void)json_add_u64(object, "bytes_missing", copies->missing.bytes);
	(void)json_add_u64(object, "pages_missing", copies->missing.pages);
}

static void add_files(struct json *json, const struct health_files *files)
{
	struct json *array;

	(void)json_add_u64(json, "files_repaired", files->states[HEALTH_REPAIRED]);
	(void)json_add_u64(json, "files_degraded", files->states[HEALTH_DEGRADED]);
	(void)json_add_u64(json, "files_lost", files->states[HEALTH_LOST]);
	(void)json_add_u64(json, "lost_bytes", files->lost_bytes);
	(void)json_add_u64(json, "tree_pages_damaged", files->damaged_pages);
	(void)json_add_u64(json, "tree_pages_lost", files->lost_pages);
	(void)json_add_u64(json, "contents_read", files->deep - files->away);
	if (json_add_array(json, "files", &array) < 0)
		return;
	for (size_t i = 0; i < files->count; i++)
		add_file(array, &files->items[i]);
}

struct json *health_report_json(const struct health_report *report, bool check,
				enum exit_code code)
{
	struct json *json = json_object_new();
	struct json *array;

	if (!json)
		return NULL;
	(void)json_add_string(json, "mode", check ? "check" : "repair");
	(void)json_add_u32(json, "exit_code", code);
	(void)json_add_bool(json, "damage", health_found_damage(report));
	(void)json_add_bool(json, "loss", health_found_loss(report));
	(void)json_add_bool(json, "resumed", report->resumed);
	(void)json_add_u64(json, "verified", report->bytes);
	(void)json_add_u64(json, "found", report->found);
	(void)json_add_u64(json, "repaired", report->repaired);
	(void)json_add_u64(json, "lost", report->lost);
	(void)json_add_u64(json, "elapsed_ns", report->elapsed);
	if (json_add_array(json, "volumes", &array) == 0)
		for (size_t i = 0; i < report->volume_count; i++)
			add_volume(array, &report->volumes[i]);
	if (json_add_array(json, "ranges", &array) == 0)
		for (size_t i = 0; i < report->damage.count; i++)
			add_range(array, report, &report->damage.items[i]);
	(void)json_add_u64(json, "places_not_listed", report->damage.dropped);
	add_files(json, &report->files);
	add_copies(json, &report->copies);
	return json;
}

int health_report_save(const struct json *json, const char *path, struct error *err)
{
	autofree char *text = NULL;
	int r = json_print_formatted(json, &text);

	if (r < 0)
		return error_set(err, r, "no memory for the report");
	return file_replace(AT_FDCWD, path, text, strlen(text), 0644, err);
}
