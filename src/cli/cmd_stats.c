/* SPDX-License-Identifier: MIT */
/* stats: what the archive holds and what that takes. Sizes of content are before, stored
 * sizes after compression; parity and what volumes take on the medium come from the volumes.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/volume_status.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/size.h"
#include "catalog/statistics.h"

#include <inttypes.h>
#include <stdio.h>

struct stats {
	struct archive *archive;
	struct catalog_statistics catalog;
	struct volume_statistics volume; /* of all volumes */
	uint64_t volumes;
	uint64_t attached;
	uint64_t payload;
	uint64_t parity;
	uint64_t allocated; /* of those attached */
	struct error err;
};

static int add_volume(void *context, const struct volume_row *volume)
{
	struct stats *stats = context;
	struct volume_status status = { 0 };
	struct volume_statistics sums;
	int r;

	r = catalog_volume_statistics(archive_catalog(stats->archive), volume->id, &sums,
				      &stats->err);
	if (r == 0)
		r = volume_status_get(stats->archive, volume, &status, &stats->err);
	if (r < 0)
		return r;
	stats->volumes++;
	stats->attached += status.attached;
	stats->allocated += status.allocated;
	stats->payload += volume->payload_size;
	stats->parity += volume->parity_size;
	stats->volume.segments += sums.segments;
	stats->volume.segment_size += sums.segment_size;
	stats->volume.stored_size += sums.stored_size;
	stats->volume.pages += sums.pages;
	stats->volume.page_size += sums.page_size;
	volume_status_done(&status);
	return 0;
}

static double ratio(uint64_t a, uint64_t b)
{
	return b > 0 ? (double)a / (double)b : 1;
}

static uint64_t count_others(const struct catalog_statistics *catalog)
{
	uint64_t count = 0;

	for (unsigned type = ENTRY_SYMLINK; type <= ENTRY_BLOCK; type++)
		count += catalog->entries[type];
	return count;
}

static void print_content(const struct catalog_statistics *catalog)
{
	char size[SIZE_TEXT_MAX];

	(void)printf("commits     %" PRIu64 "\n", catalog->commits);
	(void)printf("now         %" PRIu64 " files, %" PRIu64 " folders, %" PRIu64
		     " others: %s\n",
		     catalog->entries[ENTRY_FILE], catalog->entries[ENTRY_DIRECTORY],
		     count_others(catalog), size_format(catalog->current_size, size));
	(void)printf("versions    %" PRIu64 ": %s\n", catalog->versions,
		     size_format(catalog->version_size, size));
	(void)printf("different   %s of content, %.2f to 1 by storing each once\n",
		     size_format(catalog->content_size, size),
		     ratio(catalog->version_size, catalog->content_size));
}

static void print_stored(const struct stats *stats)
{
	char size[SIZE_TEXT_MAX];
	char pages[SIZE_TEXT_MAX];

	(void)printf("stored      %" PRIu64 " segments: %s, %.2f to 1 by compression; "
		     "tree and lists: %s\n",
		     stats->volume.segments, size_format(stats->volume.stored_size, size),
		     ratio(stats->volume.segment_size, stats->volume.stored_size),
		     size_format(stats->volume.page_size, pages));
	(void)printf("parity      %s, %.0f %% of the payload\n",
		     size_format(stats->parity, size),
		     stats->payload > 0 ? 100 * ratio(stats->parity, stats->payload) : 0);
	(void)printf("volumes     %" PRIu64 ", %" PRIu64 " of them attached: %s\n",
		     stats->volumes, stats->attached,
		     size_format(stats->allocated, size));
}

static void print_stats_json(const struct stats *stats)
{
	const struct catalog_statistics *catalog = &stats->catalog;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "commits", catalog->commits },
		{ "files", catalog->entries[ENTRY_FILE] },
		{ "folders", catalog->entries[ENTRY_DIRECTORY] },
		{ "others", count_others(catalog) },
		{ "versions", catalog->versions },
		{ "current_size", catalog->current_size },
		{ "version_size", catalog->version_size },
		{ "content_size", catalog->content_size },
		{ "segments", stats->volume.segments },
		{ "segment_size", stats->volume.segment_size },
		{ "stored_size", stats->volume.stored_size },
		{ "page_size", stats->volume.page_size },
		{ "payload_size", stats->payload },
		{ "parity_size", stats->parity },
		{ "volumes", stats->volumes },
		{ "volumes_attached", stats->attached },
		{ "allocated_size", stats->allocated },
	};
	autoptr(json) json = json_object_new();

	if (!json)
		return;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)json_add_u64(json, numbers[i].name, numbers[i].value);
	print_json(json);
}

static enum exit_code run(struct invocation *invocation)
{
	struct stats stats = { 0 };
	autoptr(archive) archive = NULL;
	struct catalog *catalog;
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	stats.archive = archive;
	catalog = archive_catalog(archive);
	r = catalog_statistics(catalog, &stats.catalog, &stats.err);
	if (r == 0)
		r = catalog_visit_volumes(catalog, add_volume, &stats, &stats.err);
	if (r < 0)
		return session_fail_lookup(r, &stats.err);
	if (invocation->json) {
		print_stats_json(&stats);
	} else {
		print_content(&stats.catalog);
		print_stored(&stats);
	}
	return CODE_DONE;
}

const struct command command_stats = {
	.name = "stats",
	.summary = "print sizes, ratios and parity",
	.usage = "",
	.details = "Reads the whole catalog, which takes some seconds for millions of "
		   "files. With --json: one object,\nsizes in bytes.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
