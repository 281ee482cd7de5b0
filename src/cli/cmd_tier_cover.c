/* SPDX-License-Identifier: MIT */
/* tier cover: for the time in which nobody guards the stubs, from early boot on. */
#include "cli/command.h"
#include "cli/tier_state.h"

#include "base/error.h"
#include "base/log.h"
#include "tier/covering.h"

#include <errno.h>

static int cover(const struct invocation *invocation, const struct tier_state *state,
		 struct error *err)
{
	bool guarded = false;
	int r;

	if (option_flag(invocation->options, "guarded"))
		return covering_lay(state->fd, err);
	r = covering_lay_unguarded(state->fd, &guarded, err);
	if (guarded && !invocation->quiet)
		log_info("the stubs are guarded, and need no cover");
	return r;
}

static enum exit_code run(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	if (r == -ENOENT)
		return CODE_DONE; /* there are no tiers */
	if (r < 0)
		return fail(r, &err);
	r = cover(invocation, &state, &err);
	tier_state_done(&state);
	return r < 0 ? CODE_FAILED : CODE_DONE; /* each was logged */
}

const struct command command_tier_cover = {
	.name = "tier cover",
	.summary = "hide the hot tiers until somebody guards them",
	.usage = "[--guarded]",
	.details =
		"Who goes to a folder that is covered gets an error (ENOTCONN), root "
		"too. 'tier run' takes the\ncovers away when it has set its marks. Does "
		"nothing while stubs are guarded.",
	.options =
		(const struct option_spec[]){
			{ 0, "guarded", NULL,
			  "also then: for a machine that shuts down" },
			{ 0 },
		},
	.without_json = true,
	.run = run,
};
