/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/session.h"
#include "cli/volume_lookup.h"

#include "archive/archive.h"
#include "archive/volume_verbs.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>

static enum exit_code run(struct invocation *invocation)
{
	const char *name = options_argument(invocation->options, 0);
	struct volume_row volume = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_WRITE, &archive);
	if (code != CODE_DONE)
		return code;
	r = volume_lookup(archive, name, &volume, &err);
	if (r == 0)
		r = volume_seal(archive, &volume, &err);
	if (r == 0 && !invocation->quiet && !invocation->json)
		(void)printf("volume %" PRIu64 " is sealed\n", volume.number);
	volume_row_done(&volume);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

const struct command command_volume_seal = {
	.name = "volume seal",
	.summary = "end a volume: nothing more is appended to it",
	.usage = "VOLUME",
	.details = "The next commit goes on in another open volume of the place, or "
		   "begins one.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
