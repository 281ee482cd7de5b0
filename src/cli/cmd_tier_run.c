/* SPDX-License-Identifier: MIT */
/* tier run, guard and release: the processes of the hot tier. */
#include "cli/command.h"
#include "cli/tier_config.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "tier/covering.h"
#include "tier/guard.h"
#include "tier/message.h"
#include "tier/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define DEADLINE 60u /* seconds */
#define DEADLINE_MAX 86400u

/* ---- run ---- */

static void say_ready(void)
{
	log_info("the hot tier is guarded");
}

/* A daemon that is started in the place of this one has no options but the deadline: what
 * names the configuration is in its environment, as seen from any folder. */
static int hand_on(const struct invocation *invocation, const char *option,
		   const char *variable, struct error *err)
{
	const char *value = option_value(invocation->options, option);
	autofree char *path = NULL;

	if (!value)
		value = getenv(variable);
	if (!value || !*value)
		return 0;
	path = realpath(value, NULL);
	if (path && setenv(variable, path, 1) < 0)
		return error_set_errno(err, -errno, "'%s'", value);
	return 0;
}

/* The tiers of the configuration become known, and stay so. */
static int take_over_configuration(struct invocation *invocation, struct error *err)
{
	const struct config *config = &invocation->config;
	struct tier_state state = { 0 };
	bool guarded;
	int r;

	r = tier_state_open_to_change(invocation, config->tiers.count > 0, &state, err);
	/* Whatever may be missing: what is known is covered. */
	if (r == 0)
		(void)covering_lay_unguarded(state.fd, &guarded, err);
	if (r == 0)
		r = tier_config_apply(&state, config, true, err);
	tier_state_done(&state);
	return r;
}

static enum exit_code run_run(struct invocation *invocation)
{
	struct worker_options options = {
		.state = invocation->config.tier.state,
		.deadline = DEADLINE,
		.never = &invocation->config.tier.never_recall,
		.user_max = invocation->config.tier.recalls_per_user,
		.ready = say_ready,
	};
	struct error err = { 0 };
	int r;

	r = option_u64(invocation->options, "deadline", 1, DEADLINE_MAX,
		       &options.deadline, &err);
	if (r < 0)
		return fail_usage(invocation, "%s", err.text);
	r = hand_on(invocation, "config", "BLOCKFRAME_CONFIG", &err);
	if (r == 0)
		r = hand_on(invocation, "archive", "BLOCKFRAME_ARCHIVE_DIRECTORY", &err);
	if (r == 0)
		r = take_over_configuration(invocation, &err);
	if (r == 0)
		r = worker_run(&options, &err);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_run = {
	.name = "tier run",
	.summary = "guard the hot tiers, and bring stubs back that somebody opens",
	.usage = "[--deadline SECONDS]",
	.details =
		"Stays in the foreground until SIGTERM. The guard that it starts stays "
		"longer: until this runs\nagain, or 'tier release', stubs can't be "
		"opened (EAGAIN).",
	.options =
		(const struct option_spec[]){
			{ 0, "deadline", "SECONDS",
			  "how long a recall may make no progress; default: 60" },
			{ 0 },
		},
	.without_json = true,
	.run = run_run,
};

/* ---- guard ---- */

static enum exit_code run_guard(struct invocation *invocation)
{
	bool adopt = option_flag(invocation->options, "adopt");
	const char *state = invocation->config.tier.state;
	struct error err = { 0 };
	int r;

	if (option_flag(invocation->options, "background"))
		r = guard_run_in_background(state, &err);
	else
		r = guard_run(state, adopt ? GUARD_KEPT_FD : -1, &err);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_guard = {
	.name = "tier guard",
	.summary = "hold the marks of stubs; 'tier run' starts it",
	.usage = "[--adopt | --background]",
	.details = "Ends with 'tier release', and with no signal but SIGKILL.",
	.options =
		(const struct option_spec[]){
			{ 0, "adopt", NULL,
			  "take over the marks that descriptor 3 holds" },
			{ 0, "background", NULL,
			  "return once it runs, or if one does already" },
			{ 0 },
		},
	.without_json = true,
	.run = run_guard,
};

/* ---- release ---- */

static int check_no_stubs(const struct tier_state *state, struct error *err)
{
	uint64_t count, size;
	int r = tier_state_count(state, &count, &size, err);

	if (r == 0 && count > 0)
		r = error_set(err, -EBUSY,
			      "%" PRIu64 " stubs would read as zeroes: recall them first",
			      count);
	return r;
}

static int release(const struct tier_state *state, struct error *err)
{
	const struct message message = { .type = MESSAGE_RELEASE };
	struct message answer = { 0 };
	autoclose int socket = -1;
	autoclose int fd = -1;
	int r;

	r = message_connect(state->fd, GUARD_SOCKET, &socket, err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0; /* there is none */
	if (r == 0)
		r = message_send(socket, &message, -1, 0);
	if (r == 0)
		r = message_receive(socket, &answer, &fd);
	if (r < 0)
		return error_set_errno(err, r, "the guard");
	if (answer.error)
		return error_set(err, -EBUSY, "'tier run' runs: end it first");
	return 0;
}

static enum exit_code run_release(struct invocation *invocation)
{
	struct tier_state state = { 0 };
	struct error err = { 0 };
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	if (r == 0 && !option_flag(invocation->options, "force"))
		r = check_no_stubs(&state, &err);
	if (r == 0)
		r = release(&state, &err);
	if (r == 0)
		r = covering_lift(state.fd, &err);
	tier_state_done(&state);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_tier_release = {
	.name = "tier release",
	.summary = "end the guard of the hot tiers",
	.usage = "[--force]",
	.details =
		"After 'tier run' has ended, and only when there are no stubs. Covers, "
		"too, are taken away.",
	.options =
		(const struct option_spec[]){
			{ 0, "force", NULL,
			  "also with stubs, which then READ AS ZEROES" },
			{ 0 },
		},
	.without_json = true,
	.run = run_release,
};
