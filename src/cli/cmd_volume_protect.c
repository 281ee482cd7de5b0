/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/protect.h"
#include "base/config.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/pool.h"
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void show_progress(void *context, uint64_t bytes, uint64_t total)
{
	progress_set(context, 0, bytes, 0, total);
}

static bool is_stopped(void *context)
{
	(void)context;
	return interrupted;
}

static int read_options(struct invocation *invocation, struct protect_options *options,
			struct error *err)
{
	const char *rate = option_value(invocation->options, "limit-rate");
	uint64_t jobs = invocation->config.limits.jobs;
	int r;

	options->dry_run = option_flag(invocation->options, "dry-run");
	options->full_only = option_flag(invocation->options, "full-groups");
	if (rate && (size_parse(rate, &options->rate) < 0 || options->rate == 0))
		return error_set(err, -EINVAL,
				 "--limit-rate wants bytes a second, like 200MB");
	r = option_u64(invocation->options, "jobs", 1, POOL_THREADS_MAX, &jobs, err);
	invocation->config.limits.jobs = (uint32_t)jobs;
	return r;
}

static void print_report_json(const struct protect_report *report, bool dry_run,
			      bool no_set)
{
	autoptr(json) json = json_object_new();

	if (!json)
		return;
	(void)json_add_bool(json, "dry_run", dry_run);
	(void)json_add_u64(json, "groups", report->groups);
	(void)json_add_u64(json, "shards_made_again", report->shards);
	(void)json_add_u64(json, "read", report->read);
	(void)json_add_u64(json, "written", report->written);
	(void)json_add_u64(json, "elapsed_ns", report->elapsed);
	(void)json_add_u64(json, "protected", report->after.protected_size);
	(void)json_add_u64(json, "unprotected", report->after.unprotected_size);
	(void)json_add_u64(json, "protected_against_burst", report->burst.covered);
	(void)json_add_u64(json, "unprotected_against_burst", report->burst.uncovered);
	(void)json_add_bool(json, "complete",
			    report->burst.due == 0 &&
				    (no_set || report->after.unprotected_size == 0));
	print_json(json);
}

static void print_report(const struct protect_report *report, bool dry_run, bool no_set)
{
	char read[SIZE_TEXT_MAX], written[SIZE_TEXT_MAX];
	char safe[SIZE_TEXT_MAX], open[SIZE_TEXT_MAX];

	(void)size_format(report->read, read);
	(void)size_format(report->written, written);
	if (dry_run)
		(void)printf("would read %s and write about %s of parity\n", read,
			     written);
	else
		(void)printf("made %" PRIu64 " groups: %s of parity for %s of data\n",
			     report->groups, written, read);
	if (report->shards > 0)
		(void)printf("made %" PRIu64 " missing parity shards of older groups\n",
			     report->shards);
	if (!no_set)
		(void)printf("protected: %s; not protected: %s\n",
			     size_format(report->after.protected_size, safe),
			     size_format(report->after.unprotected_size, open));
	if (report->burst.covered > 0)
		(void)printf("protected against the loss of a stripe: %s; not: %s\n",
			     size_format(report->burst.covered, safe),
			     size_format(report->burst.uncovered, open));
}

static enum exit_code run_protect(const struct invocation *invocation,
				  struct archive *archive,
				  struct protect_options *options)
{
	bool no_set = archive_config(archive)->volume.outer.data == 0;
	struct protect_report report = { 0 };
	struct progress progress;
	struct error err = { 0 };
	int r;

	progress_init(&progress, invocation, "protected");
	progress.bytes_only = true;
	options->progress = show_progress;
	options->stopped = is_stopped;
	options->context = &progress;
	interrupt_catch();
	r = protect_run(archive, options, &report, &err);
	progress_done(&progress);
	if (r < 0)
		return session_fail_lookup(r, &err);
	if (invocation->json)
		print_report_json(&report, options->dry_run, no_set);
	else if (!invocation->quiet)
		print_report(&report, options->dry_run, no_set);
	return report.stopped ? session_interrupted() : CODE_DONE;
}

static enum exit_code run(struct invocation *invocation)
{
	struct protect_options options = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	r = read_options(invocation, &options, &err);
	if (r < 0)
		return fail_usage(invocation, "%s", err.text);
	code = session_open(invocation, options.dry_run ? SESSION_READ : SESSION_WRITE,
			    &archive);
	if (code != CODE_DONE)
		return code;
	return run_protect(invocation, archive, &options);
}

static const struct option_spec specs[] = {
	{ 0, "dry-run", NULL, "only say what there is to do" },
	{ 0, "full-groups", NULL,
	  "leave what would make groups of fewer than k volumes" },
	{ 0, "limit-rate", "RATE", "read so many bytes a second at most: 200MB" },
	{ 0, "jobs", "N", "worker threads" },
	{ 0 },
};

const struct command command_volume_protect = {
	.name = "volume protect",
	.summary = "protect against the loss of volumes, and of stripes",
	.usage = "[OPTIONS]",
	.details =
		"Groups what was committed since the last time, over the k volumes that "
		"[volume] outer = \"k+p\" asks\nfor, and writes the groups' parity to p "
		"volumes of their own: any p of them all may then be lost.\nOf large "
		"volumes, see [parity] burst_from, "
		"a whole stripe may then be lost.\nMay be "
		"stopped at any time; the next run goes on.",
	.options = specs,
	.run = run,
};
