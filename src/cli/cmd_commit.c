/* SPDX-License-Identifier: MIT */
/* commit: files, folders and standard input into the archive. Inputs that could not be read
 * are told one by one and make the exit code 3; everything else was committed.
 */
#include "cli/command.h"
#include "cli/commit_report.h"
#include "cli/commit_request.h"
#include "cli/progress.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/commit.h"
#include "archive/protect.h"
#include "base/error.h"
#include "base/log.h"
#include "tier/known_stubs.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static void print_problem(void *context, enum commit_problem problem, const char *path,
			  const struct error *err)
{
	struct progress *progress = context;
	const char *text = err && err->text[0] ? err->text : commit_problem_name(problem);

	progress_problem(progress, "'%s': %s", path, text);
}

static void show_progress(void *context, const struct commit_progress *done)
{
	struct progress *progress = context;

	progress_set(progress, done->files, done->bytes, done->file_total,
		     done->byte_total);
}

/* Why there is no commit, with a way on where there is one. */
static enum exit_code explain(int r, const struct commit_summary *summary,
			      const struct error *err)
{
	if (r == -EEXIST)
		log_error("%s; --into puts it elsewhere, --replace in its place",
			  err->text);
	else if (r == -EINTR)
		log_error("interrupted; nothing was committed, but what was stored "
			  "so far helps the next commit");
	else if (r == -EBADMSG && !summary->made)
		(void)session_fail_lookup(r, err);
	else
		(void)fail(r, err);
	/* A commit that was made and can't be read back. */
	if (r == -EBADMSG && summary->made)
		return CODE_LOST;
	return exit_code_of(r);
}

static enum exit_code commit(struct invocation *invocation, struct archive *archive,
			     struct commit_options *options)
{
	struct commit_summary summary = { 0 };
	struct progress progress;
	struct error err = { 0 };
	uint64_t elapsed;
	int r;

	progress_init(&progress, invocation, "committed");
	options->callbacks = (struct commit_callbacks){
		.problem = print_problem,
		.progress = show_progress,
		.context = &progress,
		.cancel = &interrupted,
	};
	interrupt_catch();
	r = commit_run(archive, options, &summary, &err);
	elapsed = progress_elapsed(&progress);
	progress_done(&progress);

	if (invocation->json && (r == 0 || summary.made))
		commit_report_json(&summary, options->dry_run, elapsed);
	else if (!invocation->quiet && (r == 0 || summary.made))
		commit_report_print(&summary, options->dry_run, elapsed);
	if (r < 0)
		return explain(r, &summary, &err);
	if (summary.too_few_copies) {
		log_error("the commit exists, but on fewer volumes than [volume] "
			  "min_copies: 'blockframe health' copies it to others");
		return CODE_FAILED;
	}
	return summary.problems > 0 ? CODE_PARTIAL : CODE_DONE;
}

static bool is_interrupted(void *context)
{
	(void)context;
	return interrupted;
}

/* What [volume] protect = "commit" and [parity] burst ask for. False after having said what went
 * wrong. */
static bool protect(struct archive *archive)
{
	const struct protect_options options = { .stopped = is_interrupted,
						 .automatic = true };
	struct protect_report report = { 0 };
	struct error err = { 0 };

	if (protect_run(archive, &options, &report, &err) < 0)
		log_error("all is committed, but not protected: %s", err.text);
	else if (report.stopped)
		log_error("all is committed, but not protected: interrupted");
	else
		return true;
	return false;
}

static enum exit_code run(struct invocation *invocation)
{
	bool wait = option_flag(invocation->options, "wait");
	struct commit_options options = { 0 };
	struct commit_request request = { 0 };
	autoptr(archive) archive = NULL;
	autoptr(known_stubs) stubs = NULL;
	struct error err = { 0 };
	struct hash id;
	enum exit_code code;
	int r;

	code = commit_request_check(invocation);
	if (code == CODE_DONE)
		code = session_open(invocation, wait ? SESSION_WRITE_WAIT : SESSION_WRITE,
				    &archive);
	if (code != CODE_DONE)
		return code;
	r = commit_request_make(&request, invocation, archive, &options, &err);
	archive_id(archive, &id);
	if (r == 0)
		r = known_stubs_new(invocation->config.tier.state, &id, &stubs, &err);
	if (r == 0)
		options.known = known_stubs_content(stubs);
	code = r < 0 ? fail(r, &err) : commit(invocation, archive, &options);
	commit_request_done(&request);
	if ((code == CODE_DONE || code == CODE_PARTIAL) && !options.dry_run &&
	    !protect(archive))
		code = CODE_FAILED;
	return code;
}

static const struct option_spec specs[] = {
	{ 0, "file", "PATH", "commit this file, too", true },
	{ 0, "stdin", "NAME", "commit standard input as the file NAME" },
	{ 0, "files-from", "FILE", "commit the paths in FILE, one a line; - is stdin" },
	{ 0, "from0", NULL, "paths in --files-from end with NUL bytes" },
	{ 0, "into", "DIR", "put everything into this folder of the archive" },
	{ 'm', "message", "TEXT", "what 'log' shows for the commit" },
	{ 0, "tag", "KEY=VALUE", "tag the commit; may be repeated", true },
	{ 0, "exclude", "PATTERN", "leave out what matches; may be repeated", true },
	{ 0, "exclude-caches", NULL, "leave out folders that have a CACHEDIR.TAG" },
	{ 0, "one-file-system", NULL, "do not enter other file systems" },
	{ 0, "read-all", NULL, "read files that look unchanged, too" },
	{ 0, "replace", NULL, "replace what came from another source" },
	{ 0, "verify", NULL, "read everything new back from the volumes" },
	{ 'n', "dry-run", NULL, "only say what has changed" },
	{ 0, "wait", NULL, "wait for another writer to finish" },
	{ 0, "policy", "POLICY", "tiered or compact: how small commits are protected" },
	{ 0, "parity", "K+M", "data and parity extents of a stripe" },
	{ 0, "level", "N", "zstd level, -7 to 22" },
	{ 0, "jobs", "N", "worker threads" },
	{ 0 },
};

const struct command command_commit = {
	.name = "commit",
	.summary = "archive files and folders",
	.usage = "[OPTIONS] {PATH... | --file PATH | --stdin NAME | --files-from FILE}",
	.details =
		"PATH becomes the entry of the same name at the top of the archive (or "
		"in "
		"--into DIR): what is\nnew or changed is stored, what is gone ends, with "
		"its versions kept. Paths of --files-from keep\ntheir folders. On "
		"success "
		"everything is durable.",
	.options = specs,
	.arguments_max = SIZE_MAX,
	.run = run,
};
