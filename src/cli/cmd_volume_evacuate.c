/* SPDX-License-Identifier: MIT */
/* volume evacuate: retire the volume, which is no copy from then on, and copy what so is
 * missing. Both steps can be done again, so a run that was killed is run again.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "archive/copy_up.h"
#include "archive/volume_verbs.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/size.h"
#include "catalog/placement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void print_problem(void *context, const char *text)
{
	(void)context;
	log_warn("%s", text);
}

static bool is_stopped(void *context)
{
	(void)context;
	return interrupted;
}

static enum exit_code retire(const struct invocation *invocation,
			     struct volume_row *volume)
{
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_lookup(archive, options_argument(invocation->options, 0), volume,
			  &err);
	if (r == 0)
		r = volume_retire(archive, volume, &err);
	if (r == -EALREADY) /* by an earlier run */
		r = 0;
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

/* Bytes that are still nowhere else. */
static int count_left(struct archive *archive, const struct uuid *volume,
		      uint64_t *left_out, struct error *err)
{
	autocopies struct copies copies = { 0 };
	int r;

	r = copies_load(archive, archive_catalog(archive), &copies, err);
	return r < 0 ? r
		     : copies_only_on(&copies, archive_catalog(archive), volume, left_out,
				      err);
}

static void print_report(const struct invocation *invocation,
			 const struct copy_up_report *report, uint64_t left)
{
	autoptr(json) json = json_object_new();
	char size[SIZE_TEXT_MAX];

	if (!invocation->json) {
		if (!invocation->quiet)
			(void)printf("copied %" PRIu64 " segments (%s), %" PRIu64
				     " pages, %" PRIu64 " heads\n",
				     report->segments, size_format(report->bytes, size),
				     report->pages, report->heads);
		if (left == 0 && !invocation->quiet)
			(void)puts(
				"nothing is on that volume only: it can be taken away");
		return;
	}
	if (!json)
		return;
	(void)json_add_u64(json, "segments", report->segments);
	(void)json_add_u64(json, "bytes", report->bytes);
	(void)json_add_u64(json, "pages", report->pages);
	(void)json_add_u64(json, "heads", report->heads);
	(void)json_add_u64(json, "unreadable", report->unreadable);
	(void)json_add_u64(json, "only_there", left);
	print_json(json);
}

static enum exit_code copy(const struct invocation *invocation,
			   const struct volume_row *volume)
{
	struct copy_up_report report = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	uint64_t left = 0;
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	const struct copy_up_options options = {
		.archive = archive,
		.stopped = is_stopped,
		.problem = print_problem,
	};
	r = copy_up(&options, &report, &err);
	if (r == -EINTR)
		return session_interrupted();
	if (r == 0)
		r = count_left(archive, &volume->uuid, &left, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	print_report(invocation, &report, left);
	if (left == 0)
		return CODE_DONE;
	log_error("%" PRIu64 " bytes could not be read, and are on that volume only",
		  left);
	return CODE_LOST;
}

static enum exit_code run(struct invocation *invocation)
{
	struct volume_row volume = { 0 };
	enum exit_code code;

	interrupt_catch();
	code = retire(invocation, &volume);
	if (code == CODE_DONE)
		code = copy(invocation, &volume);
	volume_row_done(&volume);
	return code;
}

const struct command command_volume_evacuate = {
	.name = "volume evacuate",
	.summary = "copy everything off a volume, and retire it",
	.usage = "VOLUME",
	.details = "Content, pages and heads that are on VOLUME only are copied to other "
		   "volumes, as "
		   "they are stored and\nverified. From then on it is retired: "
		   "'blockframe volume "
		   "retire'. May be stopped; the next run goes on.\nExits with 4 if "
		   "something could "
		   "not be read.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
