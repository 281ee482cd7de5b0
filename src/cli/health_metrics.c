/* SPDX-License-Identifier: MIT */
/* For the textfile collector of Prometheus' node exporter, which reads the file whenever it
 * likes: so it is replaced as a whole.
 */
#include "cli/health_report.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

static int head(struct text *text, const char *name, const char *help)
{
	return text_appendf(text, "# HELP blockframe_%s %s\n# TYPE blockframe_%s gauge\n",
			    name, help, name);
}

static int value(struct text *text, const char *name, const char *help, uint64_t number)
{
	int r = head(text, name, help);

	if (r < 0)
		return r;
	return text_appendf(text, "blockframe_%s %" PRIu64 "\n", name, number);
}

/* One sample for each volume. */
static int volumes(struct text *text, const struct health_report *report,
		   const char *name, const char *help,
		   bool (*get)(const struct health_volume *volume, uint64_t *out))
{
	int r = head(text, name, help);

	for (size_t i = 0; i < report->volume_count && r == 0; i++) {
		const struct health_volume *volume = &report->volumes[i];
		char hex[2 * UUID_SIZE + 1];
		uint64_t number;

		if (!get(volume, &number))
			continue;
		hex_encode(volume->uuid.bytes, UUID_SIZE, hex);
		r = text_appendf(text,
				 "blockframe_%s{volume=\"%s\",number=\"%" PRIu64
				 "\"} %" PRIu64 "\n",
				 name, hex, volume->number, number);
	}
	return r;
}

static bool get_attached(const struct health_volume *volume, uint64_t *out)
{
	*out = volume->file != NULL;
	return true;
}

static bool get_checked(const struct health_volume *volume, uint64_t *out)
{
	*out = volume->checked;
	return true;
}

static bool get_damaged(const struct health_volume *volume, uint64_t *out)
{
	const struct scrub_report *scrub = &volume->scrub;

	*out = scrub->repairable + scrub->not_written + scrub->lost;
	return volume->file;
}

static bool get_repaired(const struct health_volume *volume, uint64_t *out)
{
	*out = volume->scrub.repaired;
	return volume->file;
}

static bool get_lost(const struct health_volume *volume, uint64_t *out)
{
	*out = volume->scrub.lost + volume->lost_records;
	return volume->file;
}

static bool get_margin(const struct health_volume *volume, uint64_t *out)
{
	*out = volume->margin;
	return volume->margin != UINT_MAX;
}

static int write_run(struct text *text, const struct health_report *report,
		     enum exit_code code)
{
	int r;

	r = value(text, "health_last_run_timestamp_seconds", "When health ended last.",
		  (uint64_t)(clock_realtime_ns() / 1000000000));
	if (r == 0)
		r = value(text, "health_exit_code",
			  "0 healthy, 3 damage, 4 something is lost.", code);
	if (r == 0)
		r = value(text, "health_verified_bytes", "Read and verified by that run.",
			  report->bytes);
	if (r == 0)
		r = value(text, "health_files_degraded",
			  "File versions with less protection than they should have.",
			  report->files.states[HEALTH_DEGRADED]);
	if (r == 0)
		r = value(text, "health_files_lost", "File versions with lost bytes.",
			  report->files.states[HEALTH_LOST]);
	return r;
}

static int write_volumes(struct text *text, const struct health_report *report)
{
	int r;

	r = volumes(text, report, "volume_attached", "1 if the volume is attached.",
		    get_attached);
	if (r == 0)
		r = volumes(text, report, "volume_checked",
			    "1 if it was read to its end.", get_checked);
	if (r == 0)
		r = volumes(text, report, "volume_damaged_places",
			    "Damaged places that are left.", get_damaged);
	if (r == 0)
		r = volumes(text, report, "volume_repaired_places",
			    "Places that this run repaired.", get_repaired);
	if (r == 0)
		r = volumes(text, report, "volume_lost_places",
			    "Places beyond repair, and records that are gone.", get_lost);
	if (r == 0)
		r = volumes(text, report, "volume_margin_extents",
			    "Extents that every stripe looked at can still lose.",
			    get_margin);
	return r;
}

int health_metrics_save(const struct health_report *report, enum exit_code code,
			const char *path, struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = write_run(&text, report, code);
	if (r == 0)
		r = write_volumes(&text, report);
	if (r < 0)
		return error_set(err, r, "no memory for metrics");
	return file_replace(AT_FDCWD, path, text.data, text.size, 0644, err);
}
