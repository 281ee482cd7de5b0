/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/remote_options.h"
#include "cli/session.h"
#include "cli/version_lookup.h"

#include "archive/archive.h"
#include "base/error.h"
#include "base/json.h"

#include <stdio.h>

static enum exit_code run(struct invocation *invocation)
{
	const char *path = options_argument(invocation->options, 0);
	autoptr(archive) archive = NULL;
	autoptr(json) json = NULL;
	struct manifest manifest = { 0 };
	struct version_row row = { 0 };
	struct error err = { 0 };
	uint64_t number = 0;
	enum exit_code code;
	uint64_t at;
	int r;

	if (options_at_most_one(invocation->options,
				(const char *[]){ "version", "at", NULL }, &err) < 0 ||
	    option_u64(invocation->options, "version", 1, UINT32_MAX, &number, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	code = session_open(invocation, SESSION_READ, &archive);
	if (code == CODE_DONE)
		code = session_commit_at(invocation, archive, &at);
	if (code != CODE_DONE)
		return code;

	r = version_lookup(archive, path, number, at, &row, &manifest, &err);
	if (r == 0)
		r = json_parse(row.line, row.line_size, MANIFEST_LINE_MAX, &json, &err);
	if (r == 0)
		print_json(json);
	manifest_done(&manifest);
	version_row_done(&row);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

const struct command command_show = {
	.name = "show",
	.summary = "print one file version's manifest as JSON",
	.usage = "[--version N | --at COMMIT] PATH",
	.options =
		(const struct option_spec[]){
			{ 0, "version", "N", "this version of PATH" },
			{ 0, "at", "COMMIT", "as of this commit (number or hash)" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
