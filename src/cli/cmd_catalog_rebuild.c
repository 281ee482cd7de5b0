/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/rebuild.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

static void print_problem(void *context, const char *text)
{
	(void)context;
	log_error("%s", text);
}

static void print_report_json(const struct rebuild_report *report)
{
	autoptr(json) json = json_object_new();

	if (!json)
		return;
	(void)json_add_u64(json, "volumes", report->volumes);
	(void)json_add_u64(json, "volumes_missing", report->volumes_missing);
	(void)json_add_u64(json, "records", report->records);
	(void)json_add_u64(json, "commits", report->commits);
	(void)json_add_u64(json, "commits_missing", report->commits_missing);
	(void)json_add_u64(json, "problems", report->problems);
	print_json(json);
}

static void print_report(const struct rebuild_report *report)
{
	(void)printf("made the catalog from %" PRIu64 " records of %" PRIu64
		     " volumes: %" PRIu64 " commits\n",
		     report->records, report->volumes, report->commits);
	if (report->volumes_missing + report->commits_missing > 0)
		(void)printf("missing: %" PRIu64 " volumes, %" PRIu64 " commits\n",
			     report->volumes_missing, report->commits_missing);
}

static enum exit_code run(struct invocation *invocation)
{
	struct rebuild_report report = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_REBUILD, &archive);
	if (code != CODE_DONE)
		return code;
	r = rebuild_catalog(archive, print_problem, NULL, &report, &err);
	if (r < 0)
		return fail(r, &err);
	if (invocation->json)
		print_report_json(&report);
	else if (!invocation->quiet)
		print_report(&report);
	return report.problems > 0 ? CODE_PARTIAL : CODE_DONE;
}

const struct command command_catalog_rebuild = {
	.name = "catalog rebuild",
	.summary = "make the catalog again from the volumes alone",
	.usage = "",
	.details = "The old catalog stays in place until the new one is complete. With "
		   "only some of the volumes it\nmakes what these tell, says what is "
		   "missing, and exits with 3.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
