/* SPDX-License-Identifier: MIT */
#include "cli/commit_report.h"

#include "cli/print.h"

#include "base/json_build.h"
#include "base/size.h"
#include "base/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_MS 1000000u

static void print_counts(const struct commit_summary *summary)
{
	(void)printf("%" PRIu64 " new, %" PRIu64 " changed, %" PRIu64
		     " unchanged, %" PRIu64 " deleted files in %" PRIu64 " folders\n",
		     summary->new_files, summary->changed_files, summary->unchanged_files,
		     summary->deleted_files, summary->folders);
}

static void print_read(const struct commit_summary *summary, uint64_t elapsed)
{
	char time[TIMESTAMP_TEXT_MAX];
	char size[SIZE_TEXT_MAX];
	char rate[SIZE_TEXT_MAX];
	char known[SIZE_TEXT_MAX];

	(void)printf("read %s in %s (%s)", size_format(summary->read_size, size),
		     duration_format(elapsed, time),
		     format_rate(summary->read_size, elapsed, rate));
	if (summary->known_size > 0)
		(void)printf(", %s of it was in the archive already",
			     size_format(summary->known_size, known));
	(void)putchar('\n');
}

/* What went into the log holds content and the tree; what was written, parity too. */
static void print_stored(const struct commit_summary *summary)
{
	uint64_t parity = summary->written_size > summary->payload_size
				  ? summary->written_size - summary->payload_size
				  : 0;
	char payload[SIZE_TEXT_MAX];
	char cost[SIZE_TEXT_MAX];

	(void)printf("stored %s", size_format(summary->payload_size, payload));
	if (summary->new_size > summary->payload_size && summary->payload_size > 0)
		(void)printf(", %.2f to 1",
			     (double)summary->new_size / (double)summary->payload_size);
	(void)printf("; parity and records cost %s more\n", size_format(parity, cost));
}

static void print_strength(const struct commit_strength *strength)
{
	char burst[SIZE_TEXT_MAX];

	if (strength->data == 0)
		return;
	if (strength->parity == 0) {
		(void)puts("survives: no damage, because parity is off");
		return;
	}
	(void)printf("survives: any %u of %u extents of a stripe", strength->parity,
		     strength->data + strength->parity);
	if (strength->burst > 0)
		(void)printf(", a burst of up to %s",
			     size_format(strength->burst, burst));
	(void)puts(", any single 4 KiB block");
}

void commit_report_print(const struct commit_summary *summary, bool dry_run,
			 uint64_t elapsed)
{
	char hex[HASH_HEX_SIZE];

	print_counts(summary);
	if (dry_run) {
		(void)puts("dry run: nothing was read or written");
		return;
	}
	print_read(summary, elapsed);
	if (summary->made) {
		hash_to_hex(&summary->hash, hex);
		print_stored(summary);
		print_strength(&summary->strength);
	}
	if (summary->copies > 1)
		(void)printf("copies: in %" PRIu64 " places\n", summary->copies);
	if (summary->verified_files > 0)
		(void)printf("read back and verified %" PRIu64 " files\n",
			     summary->verified_files);
	if (summary->problems > 0)
		(void)printf("%" PRIu64 " problem%s\n", summary->problems,
			     summary->problems == 1 ? "" : "s");
	if (summary->made)
		(void)printf("commit %" PRIu64 " %.12s\n", summary->sequence, hex);
	else
		(void)puts("nothing has changed; no commit was made");
}

static void add_strength(struct json *json, const struct commit_strength *strength)
{
	struct json *object;

	if (strength->data == 0 || json_add_object(json, "survives", &object) < 0)
		return;
	(void)json_add_u32(object, "data", strength->data);
	(void)json_add_u32(object, "parity", strength->parity);
	(void)json_add_u64(object, "burst", strength->burst);
}

void commit_report_json(const struct commit_summary *summary, bool dry_run,
			uint64_t elapsed)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "new_files", summary->new_files },
		{ "changed_files", summary->changed_files },
		{ "unchanged_files", summary->unchanged_files },
		{ "deleted_files", summary->deleted_files },
		{ "folders", summary->folders },
		{ "read_size", summary->read_size },
		{ "new_size", summary->new_size },
		{ "known_size", summary->known_size },
		{ "payload_size", summary->payload_size },
		{ "written_size", summary->written_size },
		{ "verified_files", summary->verified_files },
		{ "problems", summary->problems },
		{ "copies", summary->copies },
		{ "milliseconds", elapsed / NS_PER_MS },
	};
	autoptr(json) json = json_object_new();

	if (!json)
		return;
	(void)json_add_bool(json, "dry_run", dry_run);
	(void)json_add_bool(json, "made", summary->made);
	if (summary->made) {
		(void)json_add_u64(json, "sequence", summary->sequence);
		(void)json_add_hex(json, "hash", summary->hash.bytes, HASH_SIZE);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)json_add_u64(json, numbers[i].name, numbers[i].value);
	add_strength(json, &summary->strength);
	print_json(json);
}
