/* SPDX-License-Identifier: MIT */
/* tier stub and recall. To make files stubs this command commits them, and asks the daemon to
 * do the rest, which reads them back from the archive first. To recall them it opens them.
 */
#include "cli/command.h"
#include "cli/tier_state.h"

#include "archive/archive.h"
#include "archive/commit.h"
#include "base/cleanup.h"
#include "base/config_find.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "tier/control.h"
#include "tier/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* The files of the command line that are in one tier. */
struct batch {
	const struct tier_entry *tier;
	struct commit_source *sources; /* owned, with both paths */
	size_t count;
};

struct stub_command {
	const struct invocation *invocation;
	struct tier_state state;
	int daemon; /* socket */
	size_t problems;
};

static void complain(struct stub_command *command, const char *path,
		     const struct error *err)
{
	autotext struct text name = { 0 };

	command->problems++;
	if (text_append_quoted(&name, path, strlen(path)) == 0)
		log_error("%s: %s", text_string(&name), err->text);
}

static void batch_done(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		cleanup_free_p(&batch->sources[i].path);
		cleanup_free_p(&batch->sources[i].destination);
	}
	free(batch->sources);
}

static int batch_add(struct batch *batch, const char *path, const char *rest,
		     struct error *err)
{
	struct commit_source source = { .fd = -1, .path = strdup(path) };
	struct commit_source *sources =
		reallocarray(batch->sources, batch->count + 1, sizeof(*sources));
	char *destination = NULL;

	if (sources)
		batch->sources = sources;
	if (asprintf(&destination, "%s/%s", batch->tier->into, rest) < 0)
		destination = NULL; /* undefined after a failure */
	source.destination = destination;
	if (!sources || !source.path || !destination) {
		cleanup_free_p(&source.path);
		free(destination);
		return error_set(err, -ENOMEM, "no memory for a path");
	}
	batch->sources[batch->count++] = source;
	return 0;
}

/* Take over argument @path, if it is in the batch's tier and no stub yet. */
static int consider(struct stub_command *command, struct batch *batch, const char *path,
		    struct error *err)
{
	autofree char *resolved = NULL;
	struct marker marker;
	const char *rest;
	int r;

	r = tier_resolve(path, &resolved, err);
	if (r < 0)
		return r;
	if (tier_list_find(&command->state.list, resolved, &rest) != batch->tier)
		return 0;
	if (marker_get_path(resolved, &marker) == 0)
		return 0; /* committing it would recall it */
	return batch_add(batch, resolved, rest, err);
}

static int check_argument(struct stub_command *command, const char *path,
			  struct error *err)
{
	autofree char *resolved = NULL;
	const char *rest;
	int r = tier_resolve(path, &resolved, err);

	if (r < 0)
		return r;
	if (!tier_list_find(&command->state.list, resolved, &rest) || !*rest)
		return error_set(err, -EINVAL, "'%s' is in no hot tier", path);
	return 0;
}

static void report(void *context, enum commit_problem problem, const char *path,
		   const struct error *err)
{
	struct error text = { 0 };

	if (err && err->text[0])
		text = *err;
	else
		(void)error_set(&text, -EIO, "%s", commit_problem_name(problem));
	complain(context, path, &text);
}

static int commit(struct stub_command *command, const struct batch *batch,
		  struct error *err)
{
	autoconfig struct config config = { 0 };
	struct archive_options options = { .directory = batch->tier->archive,
					   .config = &config,
					   .writable = true,
					   .wait = true };
	struct commit_options commit_options = { 0 };
	struct commit_summary summary = { 0 };
	autoptr(archive) archive = NULL;
	int r;

	r = config_resolve_archive(&config, batch->tier->archive, err);
	if (r == 0)
		r = archive_open(&options, &archive, err);
	if (r < 0)
		return r;
	commit_options_init(&commit_options, archive);
	commit_options.sources = batch->sources;
	commit_options.source_count = batch->count;
	commit_options.replace = true;
	commit_options.verify = true;
	commit_options.message = "hot tier";
	commit_options.callbacks = (struct commit_callbacks){ .problem = report,
							      .context = command,
							      .cancel = &interrupted };
	return commit_run(archive, &commit_options, &summary, err);
}

static int make_stubs(struct stub_command *command, const struct batch *batch,
		      struct error *err)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct control_answer answer;
		struct error why = { 0 };
		int r = atomic_load(&interrupted) ? -EINTR : 0;

		if (r == 0)
			r = control_ask(command->daemon, CONTROL_STUB,
					batch->sources[i].path, &answer, &why);
		if (r == -EINTR || r == -EPIPE)
			return error_set(err, r, "%s", why.text);
		if (r < 0 && r != -EALREADY)
			complain(command, batch->sources[i].path, &why);
	}
	return 0;
}

static int stub_tier(struct stub_command *command, const struct tier_entry *tier,
		     struct error *err)
{
	const struct options *options = command->invocation->options;
	struct batch batch = { .tier = tier };
	int r = 0;

	for (size_t i = 0; i < options_argument_count(options) && r == 0; i++)
		r = consider(command, &batch, options_argument(options, i), err);
	if (r == 0 && batch.count > 0) {
		r = commit(command, &batch, err);
		if (r == 0)
			r = make_stubs(command, &batch, err);
	}
	batch_done(&batch);
	return r;
}

static int stub_all(struct stub_command *command, struct error *err)
{
	const struct options *options = command->invocation->options;
	int r = 0;

	for (size_t i = 0; i < options_argument_count(options) && r == 0; i++)
		r = check_argument(command, options_argument(options, i), err);
	/* Before anything is committed: nothing may become a stub without a guard. */
	if (r == 0)
		r = control_connect(command->state.fd, &command->daemon, err);
	for (size_t i = 0; i < command->state.list.count && r == 0; i++)
		r = stub_tier(command, &command->state.list.items[i], err);
	return r;
}

static enum exit_code run_stub(struct invocation *invocation)
{
	struct stub_command command = { .invocation = invocation, .daemon = -1 };
	struct error err = { 0 };
	int r;

	interrupt_catch();
	r = tier_state_open(invocation, false, &command.state, &err);
	if (r == 0)
		r = stub_all(&command, &err);
	cleanup_close_p(&command.daemon);
	tier_state_done(&command.state);
	if (r < 0)
		return fail(r, &err);
	return command.problems ? CODE_PARTIAL : CODE_DONE;
}

const struct command command_tier_stub = {
	.name = "tier stub",
	.summary = "archive files of a hot tier, and free their space",
	.usage = "FILE...",
	.details = "The files are committed, read back and verified, and become stubs. "
		   "Those that somebody uses or\nchanges stay as they are, and make the "
		   "exit code 3. The daemon ('tier run') has to be there.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = SIZE_MAX,
	.without_json = true,
	.run = run_stub,
};

/* ---- recall ---- */

static int recall(const char *path, struct error *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct marker marker;

	if (fd < 0)
		return error_set_errno(err, -errno, "can't be recalled");
	if (marker_get(fd, &marker) != -ENODATA)
		return error_set(err, -EIO,
				 "it is a stub, and nobody guards it: start "
				 "'blockframe tier run'");
	return 0;
}

static enum exit_code run_recall(struct invocation *invocation)
{
	struct stub_command command = { .invocation = invocation };
	const struct options *options = invocation->options;

	for (size_t i = 0; i < options_argument_count(options); i++) {
		struct error err = { 0 };

		if (recall(options_argument(options, i), &err) < 0)
			complain(&command, options_argument(options, i), &err);
	}
	return command.problems ? CODE_PARTIAL : CODE_DONE;
}

const struct command command_tier_recall = {
	.name = "tier recall",
	.summary = "bring stubs back",
	.usage = "FILE...",
	.details = "As opening them does.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = SIZE_MAX,
	.without_json = true,
	.run = run_recall,
};
