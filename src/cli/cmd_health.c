/* SPDX-License-Identifier: MIT */
/* health: reads every byte of the attached volumes, repairs what can be repaired, and says
 * what that means for the files. `--check` is the exit code and the report without the repair.
 */
#include "cli/command.h"
#include "cli/health_report.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/remote_options.h"
#include "cli/session.h"
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "archive/health.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/size.h"
#include "base/timestamp.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define DAY_NS INT64_C(86400000000000)

static void show_progress(void *context, uint64_t bytes, uint64_t total)
{
	progress_set(context, 0, bytes, 0, total);
}

static void print_problem(void *context, const char *text)
{
	progress_problem(context, "%s", text);
}

static bool is_stopped(void *context)
{
	(void)context;
	return interrupted;
}

/* Which stripes were verified too recently to be looked at. */
static int read_before(const struct options *options, const struct config *config,
		       int64_t *before, struct error *err)
{
	const char *text = option_value(options, "older-than");
	uint64_t age;

	if (option_flag(options, "due")) {
		if (text)
			return error_set(err, -EINVAL,
					 "--due and --older-than exclude each other");
		*before = clock_realtime_ns() - config->health.check_every * DAY_NS;
		return 0;
	}
	if (!text)
		return 0;
	if (duration_parse(text, &age) < 0 || age > INT64_MAX)
		return error_set(err, -EINVAL, "--older-than wants a duration like 30d");
	*before = clock_realtime_ns() - (int64_t)age;
	return 0;
}

static int read_rate(const struct options *options, uint64_t *rate, struct error *err)
{
	const char *text = option_value(options, "limit-rate");

	if (!text)
		return 0;
	if (size_parse(text, rate) < 0 || *rate == 0)
		return error_set(err, -EINVAL,
				 "--limit-rate wants bytes a second, like 200MB");
	return 0;
}

static int read_jobs(struct invocation *invocation, struct error *err)
{
	uint64_t jobs = invocation->config.limits.jobs;
	int r = option_u64(invocation->options, "jobs", 1, POOL_THREADS_MAX, &jobs, err);

	invocation->config.limits.jobs = (uint32_t)jobs;
	return r;
}

/* "volume verify" is "health --check" of one volume. */
static bool is_verify(const struct invocation *invocation)
{
	return invocation->command == &command_volume_verify;
}

static int read_options(struct invocation *invocation, struct health_options *options,
			struct error *err)
{
	int r;

	options->check =
		is_verify(invocation) || option_flag(invocation->options, "check");
	options->deep = option_flag(invocation->options, "deep");
	options->resume = option_flag(invocation->options, "resume");
	options->one_pass = option_flag(invocation->options, "one-pass");
	options->before = INT64_MAX;
	r = read_before(invocation->options, &invocation->config, &options->before, err);
	if (r == 0)
		r = read_rate(invocation->options, &options->rate, err);
	if (r == 0)
		r = read_jobs(invocation, err);
	return r;
}

/* What is about volumes does not go with another machine's archive. */
static enum exit_code check_remote(const struct invocation *invocation,
				   const struct health_options *options)
{
	static const char *const names[] = { "volume",   "due",        "older-than",
					     "one-pass", "limit-rate", "resume" };

	if (is_verify(invocation) || !option_given(invocation->options, "remote"))
		return CODE_DONE;
	if (!options->check)
		return fail_usage(invocation, "--remote goes with --check: what another "
					      "machine has is only read");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (option_given(invocation->options, names[i]))
			return fail_usage(invocation,
					  "--%s and --remote can't be used together",
					  names[i]);
	return CODE_DONE;
}

/* A volume that could not be looked at is trouble of its own. */
static bool all_checked(const struct health_report *report)
{
	for (size_t i = 0; i < report->volume_count; i++)
		if (report->volumes[i].file && !report->volumes[i].checked)
			return false;
	return true;
}

static enum exit_code code_of(const struct health_report *report)
{
	if (health_found_loss(report))
		return CODE_LOST;
	if (!all_checked(report))
		return CODE_FAILED;
	return health_found_damage(report) ? CODE_PARTIAL : CODE_DONE;
}

/* The files that were asked for. */
static int save(const struct invocation *invocation, const struct health_report *report,
		const struct json *json, enum exit_code code, struct error *err)
{
	const char *file = option_value(invocation->options, "report");
	const char *metrics = option_value(invocation->options, "metrics");
	int r = 0;

	if (file)
		r = health_report_save(json, file, err);
	if (r == 0 && metrics)
		r = health_metrics_save(report, code, metrics, err);
	return r;
}

static enum exit_code show(const struct invocation *invocation,
			   const struct health_report *report, bool check)
{
	enum exit_code code = code_of(report);
	autoptr(json) json = health_report_json(report, check, code);
	struct error err = { 0 };

	if (!json) {
		log_error("out of memory");
		return CODE_FAILED;
	}
	if (invocation->json)
		print_json(json);
	else if (!invocation->quiet)
		health_report_print(report, check);
	if (save(invocation, report, json, code, &err) < 0) {
		log_error("%s", err.text);
		return code == CODE_DONE ? CODE_FAILED : code;
	}
	return code;
}

static enum exit_code explain(int r, const struct error *err)
{
	if (r == -EROFS || r == -EACCES) {
		log_error("%s; '--check' writes nothing to the volumes", err->text);
		return CODE_FAILED;
	}
	if (r != -EINTR)
		return session_fail_lookup(r, err);
	log_error("interrupted; '--resume' goes on from here");
	return CODE_INTERRUPTED;
}

static enum exit_code run_health(const struct invocation *invocation,
				 struct archive *archive, struct health_options *options)
{
	struct health_report report;
	struct progress progress;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	progress_init(&progress, invocation, options->check ? "verified" : "healed");
	progress.bytes_only = true;
	options->progress = show_progress;
	options->problem = print_problem;
	options->stopped = is_stopped;
	options->context = &progress;
	interrupt_catch();
	r = health_run(archive, options, &report, &err);
	progress_done(&progress);
	if (r == 0 && option_flag(invocation->options, "resume") && !report.resumed &&
	    !invocation->quiet)
		log_warn("no run was stopped: all of it was verified");
	code = r < 0 ? explain(r, &err) : show(invocation, &report, options->check);
	health_report_done(&report);
	return code;
}

static enum exit_code run(struct invocation *invocation)
{
	const char *name = is_verify(invocation)
				   ? options_argument(invocation->options, 0)
				   : option_value(invocation->options, "volume");
	struct health_options options = { 0 };
	struct volume_row volume = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	r = read_options(invocation, &options, &err);
	if (r < 0)
		return fail_usage(invocation, "%s", err.text);
	code = check_remote(invocation, &options);
	if (code == CODE_DONE)
		code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	if (name) {
		r = volume_lookup(archive, name, &volume, &err);
		options.volume = &volume.uuid;
	}
	code = r < 0 ? session_fail_lookup(r, &err)
		     : run_health(invocation, archive, &options);
	volume_row_done(&volume);
	return code;
}

/* Of health and of volume verify. */
#define VERIFY_OPTIONS                                                               \
	{ 0, "deep", NULL, "then read every file, and compare its hash" },           \
		{ 0, "due", NULL,                                                    \
		  "leave out what is not due yet ([health] check_every)" },          \
		{ 0, "older-than", "AGE",                                            \
		  "leave out what was found sound since: 30d, 12h" },                \
		{ 0, "one-pass", NULL,                                               \
		  "read nothing twice: for media on which seeking is dear" },        \
		{ 0, "limit-rate", "RATE",                                           \
		  "read so many bytes a second at most: 200MB" },                    \
		{ 0, "resume", NULL, "go on with the last run, which was stopped" }, \
		{ 0, "report", "FILE", "write the report, as JSON, to FILE" },       \
		{ 0, "metrics", "FILE", "write metrics for Prometheus to FILE" },    \
	{                                                                            \
		0, "jobs", "N", "worker threads"                                     \
	}

static const struct option_spec specs[] = {
	{ 0, "check", NULL, "only say what is wrong; write nothing to the volumes" },
	{ 0, "volume", "VOLUME", "this volume only: its number, label or UUID" },
	VERIFY_OPTIONS,
	REMOTE_OPTIONS,
	{ 0 },
};

static const struct option_spec verify_specs[] = { VERIFY_OPTIONS, { 0 } };

const struct command command_health = {
	.name = "health",
	.summary = "check the volumes, and repair them",
	.usage = "[OPTIONS]",
	.details =
		"Reads every byte of the attached volumes and verifies it against their "
		"records. What is damaged is\nrebuilt, written in place and read again; "
		"repair.log in the archive tells what was done. Exits with 0\nif all is "
		"well, with 3 if damage was found and repaired (or could be), with 4 if "
		"something is lost.\n\nWith --check --remote, every file of the newest "
		"commit "
		"that a server has is read and proved.",
	.options = specs,
	.run = run,
};

const struct command command_volume_verify = {
	.name = "volume verify",
	.summary = "check one volume",
	.usage = "[OPTIONS] VOLUME",
	.details = "The same as 'health --check --volume VOLUME': reads all of it, "
		   "verifies it, "
		   "and writes nothing.",
	.options = verify_specs,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
