/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include "archive/archive.h"
#include "base/error.h"
#include "base/size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static enum exit_code run(struct invocation *invocation)
{
	const char *directory = options_argument(invocation->options, 0);
	const char *label = option_value(invocation->options, "label");
	const struct config *config = &invocation->config;
	struct error err = { 0 };
	int r;

	r = archive_init(directory, config, label, &err);
	if (r < 0)
		return fail(r, &err);
	if (!invocation->quiet)
		(void)printf("made an archive in %s: Reed-Solomon %" PRIu32 "+%" PRIu32
			     ", settings in %s/%s\n",
			     directory, config->parity.data, config->parity.parity,
			     directory, ARCHIVE_CONFIG_FILE);
	return CODE_DONE;
}

const struct command command_init = {
	.name = "init",
	.summary = "make an archive",
	.usage = "[--label TEXT] DIR",
	.details =
		"DIR is made if it is missing. A folder that has other things in it is "
		"refused.",
	.options =
		(const struct option_spec[]){
			{ 0, "label", "TEXT", "label of the first volume" },
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
