/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/volume_scan.h"
#include "base/error.h"
#include "base/json_build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct showing {
	bool json;
	bool quiet;
	bool any_problem;
};

static int print_json_line(const struct volume_sighting *sighting)
{
	autoptr(json) json = json_object_new();

	if (!json)
		return -ENOMEM;
	(void)json_add_string(json, "finding", volume_finding_name(sighting->finding));
	if (sighting->number > 0)
		(void)json_add_u64(json, "number", sighting->number);
	if (sighting->label) {
		(void)json_add_hex(json, "uuid", sighting->uuid.bytes, UUID_SIZE);
		(void)json_add_bytes(json, "label", sighting->label,
				     strlen(sighting->label));
	}
	if (sighting->file)
		(void)json_add_bytes(json, "file", sighting->file,
				     strlen(sighting->file));
	if (sighting->detail && sighting->detail[0])
		(void)json_add_bytes(json, "detail", sighting->detail,
				     strlen(sighting->detail));
	print_json(json);
	return 0;
}

static void print_line(const struct volume_sighting *sighting)
{
	(void)printf("%-10s  ", volume_finding_name(sighting->finding));
	if (sighting->label) {
		(void)printf("volume %" PRIu64 " ", sighting->number);
		print_name(sighting->label, strlen(sighting->label));
	}
	if (sighting->file) {
		(void)fputs(sighting->label ? ": " : "", stdout);
		print_name(sighting->file, strlen(sighting->file));
	}
	if (sighting->detail && sighting->detail[0])
		(void)printf(": %s", sighting->detail);
	(void)putchar('\n');
}

static int show(void *context, const struct volume_sighting *sighting)
{
	struct showing *showing = context;

	showing->any_problem |= volume_finding_is_problem(sighting->finding);
	if (showing->json)
		return print_json_line(sighting);
	if (!showing->quiet)
		print_line(sighting);
	return 0;
}

static enum exit_code run(struct invocation *invocation)
{
	struct showing showing = { .json = invocation->json, .quiet = invocation->quiet };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_scan(archive, show, &showing, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	return showing.any_problem ? CODE_PARTIAL : CODE_DONE;
}

const struct command command_volume_scan = {
	.name = "volume scan",
	.summary = "look for the volumes in all places",
	.usage = "",
	.details =
		"Says of each file what it is, and which volumes and places are "
		"missing: found, renamed, swapped\n(under another volume's name), twice, "
		"older, fork, missing, retired, foreign, no volume, unreadable,\nplace "
		"away. Exits with 3 if something is missing or not as it should be.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
