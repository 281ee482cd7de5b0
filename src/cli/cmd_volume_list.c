/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/volume_status.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct list {
	const struct invocation *invocation;
	struct archive *archive;
	struct error err;
};

static int print_json_line(const struct volume_row *volume,
			   const struct volume_status *status)
{
	autoptr(json) json = json_object_new();
	autofree char *line = NULL;

	if (!json)
		return -ENOMEM;
	volume_status_add_json(volume, status, json);
	if (json_print(json, &line) < 0)
		return -ENOMEM;
	(void)puts(line);
	return 0;
}

static void print_line(const struct volume_row *volume,
		       const struct volume_status *status)
{
	char size[SIZE_TEXT_MAX];
	char payload[SIZE_TEXT_MAX];
	const char *label = volume->label ? volume->label : "";
	const char *state = volume->retired     ? "retired"
			    : !status->attached ? "away"
			    : volume->sealed    ? "sealed"
						: "open";

	(void)printf("%4" PRIu64 "  %-8s %10s %10s %4u %%  ", volume->number, state,
		     status->attached ? size_format(status->allocated, size) : "-",
		     size_format(volume->payload_size, payload), volume_overhead(volume));
	print_name(label, strlen(label));
	(void)putchar('\n');
}

static int visit(void *context, const struct volume_row *volume)
{
	struct list *list = context;
	struct volume_status status = { 0 };
	int r;

	r = volume_status_get(list->archive, volume, &status, &list->err);
	if (r < 0)
		return r;
	if (list->invocation->json)
		r = print_json_line(volume, &status);
	else
		print_line(volume, &status);
	volume_status_done(&status);
	return r;
}

static enum exit_code run(struct invocation *invocation)
{
	struct list list = { .invocation = invocation };
	autoptr(archive) archive = NULL;
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	list.archive = archive;
	if (!invocation->json && !invocation->quiet)
		(void)puts("   #  state          size    payload parity  label");
	r = catalog_visit_volumes(archive_catalog(archive), visit, &list, &list.err);
	return r < 0 ? session_fail_lookup(r, &list.err) : CODE_DONE;
}

const struct command command_volume_list = {
	.name = "volume list",
	.summary = "list the volumes",
	.usage = "",
	.details = "State is open, sealed, or away: no file in any place is it. "
		   "Size is what it takes on the\nmedium, payload what stripes hold, "
		   "parity in percent of that.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
