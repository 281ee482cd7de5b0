/* SPDX-License-Identifier: MIT */
/* tier pin and unpin: files and folders that stay. A stub that is pinned comes back. */
#include "cli/command.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "tier/marker.h"
#include "tier/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The pin is durable first, so that the policy does not take it again. */
static int recall(const char *path, struct error *err)
{
	struct marker marker;
	autoclose int fd = -1;

	if (marker_get_path(path, &marker) == -ENODATA)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set_errno(err, -errno,
				       "it is pinned, but can't be recalled");
	return 0;
}

static int pin(const struct tier_state *state, const char *path, bool pinned,
	       struct error *err)
{
	autofree char *resolved = NULL;
	const struct tier_entry *tier;
	autoclose int folder = -1;
	autoclose int fd = -1;
	struct stat stat;
	const char *rest;
	int r;

	r = tier_resolve(path, &resolved, err);
	if (r < 0)
		return r;
	tier = tier_list_find(&state->list, resolved, &rest);
	if (!tier)
		return error_set(err, -EINVAL, "it is in no hot tier");
	folder = open(tier->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = open(resolved, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || fd < 0 || fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "open");
	if (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode))
		return error_set(err, -EINVAL, "neither a file nor a folder");
	r = pin_set(fd, folder, pinned);
	if (r < 0)
		return error_set_errno(err, r, "pin");
	return pinned && S_ISREG(stat.st_mode) ? recall(resolved, err) : 0;
}

static enum exit_code pin_all(const struct invocation *invocation, bool pinned)
{
	const struct options *options = invocation->options;
	struct tier_state state = { 0 };
	struct error err = { 0 };
	size_t problems = 0;
	int r;

	r = tier_state_open(invocation, false, &state, &err);
	for (size_t i = 0; i < options_argument_count(options) && r == 0; i++) {
		const char *path = options_argument(options, i);
		autotext struct text name = { 0 };

		if (pin(&state, path, pinned, &err) == 0)
			continue;
		problems++;
		if (text_append_quoted(&name, path, strlen(path)) == 0)
			log_error("%s: %s", text_string(&name), err.text);
	}
	tier_state_done(&state);
	if (r < 0)
		return fail(r, &err);
	return problems ? CODE_PARTIAL : CODE_DONE;
}

static enum exit_code run_pin(struct invocation *invocation)
{
	return pin_all(invocation, true);
}

static enum exit_code run_unpin(struct invocation *invocation)
{
	return pin_all(invocation, false);
}

const struct command command_tier_pin = {
	.name = "tier pin",
	.summary = "keep files of a hot tier, or whole folders, from becoming stubs",
	.usage = "FILE...",
	.details = "A stub that is pinned comes back. The pin stays with the file, "
		   "whatever it is renamed to.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = SIZE_MAX,
	.without_json = true,
	.run = run_pin,
};

const struct command command_tier_unpin = {
	.name = "tier unpin",
	.summary = "let pinned files become stubs again",
	.usage = "FILE...",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = SIZE_MAX,
	.without_json = true,
	.run = run_unpin,
};
