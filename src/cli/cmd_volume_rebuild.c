/* SPDX-License-Identifier: MIT */
/* volume rebuild and volume replace: a volume again, from the groups of the outer code. */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "archive/volume_remake.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/size.h"
#include "catalog/placement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void show_progress(void *context, uint64_t bytes, uint64_t total)
{
	progress_set(context, 0, bytes, 0, total);
}

static bool is_stopped(void *context)
{
	(void)context;
	return interrupted;
}

static void print_report_json(const struct volume_remake_report *report)
{
	autoptr(json) json = json_object_new();

	if (!json)
		return;
	if (report->file)
		(void)json_add_bytes(json, "file", report->file, strlen(report->file));
	(void)json_add_bool(json, "parity", report->parity);
	(void)json_add_u64(json, "shards_made_again", report->shards);
	(void)json_add_u64(json, "stripes", report->stripes);
	(void)json_add_u64(json, "payload", report->payload);
	(void)json_add_u64(json, "missing", report->missing);
	(void)json_add_bool(json, "in_a_place", report->in_a_place);
	(void)json_add_u64(json, "elapsed_ns", report->elapsed);
	print_json(json);
}

static void print_report(const struct volume_remake_report *report)
{
	char size[SIZE_TEXT_MAX];

	if (report->parity) {
		(void)printf("made %" PRIu64 " parity shards again, on other volumes\n",
			     report->shards);
		return;
	}
	(void)printf("made '%s': %" PRIu64 " stripes, %s, verified\n", report->file,
		     report->stripes, size_format(report->payload, size));
}

static void warn(const struct volume_remake_report *report)
{
	if (report->missing > 0)
		log_error("%" PRIu64 " bytes at its end were in no group and are lost: "
			  "'blockframe catalog rebuild' forgets them",
			  report->missing);
	if (!report->parity && !report->in_a_place)
		log_warn(
			"the archive does not look for volumes in that folder: add it to "
			"[volume] more_directories");
}

static enum exit_code make(const struct invocation *invocation, struct archive *archive,
			   struct volume_remake_options *options)
{
	struct volume_remake_report report;
	struct progress progress;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	progress_init(&progress, invocation, "made");
	progress.bytes_only = true;
	options->progress = show_progress;
	options->stopped = is_stopped;
	options->context = &progress;
	interrupt_catch();
	r = volume_remake(archive, options, &report, &err);
	progress_done(&progress);
	if (r == 0 && invocation->json)
		print_report_json(&report);
	else if (r == 0 && !invocation->quiet)
		print_report(&report);
	if (r == 0)
		warn(&report);
	code = r == 0 && report.missing > 0 ? CODE_LOST : CODE_DONE;
	volume_remake_report_done(&report);
	if (r == -EINTR)
		return session_interrupted();
	return r < 0 ? session_fail_lookup(r, &err) : code;
}

static enum exit_code run_as(struct invocation *invocation, bool replace)
{
	const char *name = options_argument(invocation->options, 0);
	struct volume_remake_options options = {
		.folder = option_value(invocation->options, "to"),
		.replace = replace,
	};
	struct volume_row volume = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	if (!options.folder && replace)
		return fail_usage(invocation, "--to is missing: where the file goes");
	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_lookup(archive, name, &volume, &err);
	options.volume = volume.uuid;
	if (r == 0 && !options.folder && volume.role == VOLUME_DATA)
		r = error_set(&err, -EINVAL,
			      "--to is missing: where the file of a data volume goes");
	volume_row_done(&volume);
	return r < 0 ? session_fail_lookup(r, &err) : make(invocation, archive, &options);
}

static enum exit_code run_rebuild(struct invocation *invocation)
{
	return run_as(invocation, false);
}

static enum exit_code run_replace(struct invocation *invocation)
{
	return run_as(invocation, true);
}

static const struct option_spec specs[] = {
	{ 0, "to", "DIR", "the folder for the new file" },
	{ 0 },
};

const struct command command_volume_rebuild = {
	.name = "volume rebuild",
	.summary = "make a lost volume again from the others",
	.usage = "[--to DIR] VOLUME",
	.details =
		"VOLUME is its number, label or UUID. What groups hold of it "
		"('blockframe "
		"volume protect') is\nreconstructed, compared with the hashes in the "
		"records, written, and read back; then the file gets\nits name. May be "
		"stopped; the next run goes on. Exits with 4 if a part at its end was in "
		"no "
		"group.\nThe shards of a parity volume are made again on other volumes, "
		"and take no --to.",
	.options = specs,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_rebuild,
};

const struct command command_volume_replace = {
	.name = "volume replace",
	.summary = "make a volume again elsewhere, and put the old one away",
	.usage = "--to DIR VOLUME",
	.details =
		"As 'volume rebuild', for a volume that is attached: what it can still "
		"give is "
		"read from it, the rest\nis reconstructed. When the new file is verified "
		"the old one gets the suffix .replaced, and is no\nvolume any more.",
	.options = specs,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_replace,
};
