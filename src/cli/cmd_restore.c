/* SPDX-License-Identifier: MIT */
/* restore: entries to a folder, or as a tar stream to standard output. Problems are printed
 * as they come, one line each; what is lost beyond repair decides about the exit code.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/remote_options.h"
#include "cli/session.h"
#include "cli/version_lookup.h"

#include "archive/archive.h"
#include "archive/restore.h"
#include "archive/tar.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "tier/stub_restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
	struct invocation *invocation;
	struct archive *archive;
	struct bytes *keys; /* owned, each */
	size_t key_count;
	uint64_t version; /* --version, or 0 */
	uint64_t at;
	struct version_row row; /* of --version */
	struct progress progress;
};

/* Reports. */

static void print_problem(void *context, enum restore_problem problem, const char *path,
			  uint64_t offset, uint64_t size, const struct error *err)
{
	struct request *request = context;
	const char *why = err && err->text[0] ? err->text : "failed";

	switch (problem) {
	case RESTORE_EXISTS:
		progress_problem(&request->progress,
				 "'%s': exists already; --force replaces it, --resume "
				 "keeps what is complete",
				 path);
		return;
	case RESTORE_LOST:
		progress_problem(&request->progress,
				 "'%s': bytes %" PRIu64 " to %" PRIu64 " are lost", path,
				 offset, offset + size - 1);
		return;
	case RESTORE_ATTRIBUTE:
		progress_problem(&request->progress, "'%s': not all attributes: %s", path,
				 why);
		return;
	case RESTORE_FAILED:
	case RESTORE_NOT_ATTACHED:
		progress_problem(&request->progress, "'%s': %s", path, why);
		return;
	}
}

static void show_progress(void *context, uint64_t files, uint64_t bytes)
{
	struct request *request = context;

	progress_add(&request->progress, files, bytes);
}

static void print_summary_json(const struct restore_summary *summary)
{
	autoptr(json) json = json_object_new();

	if (!json)
		return;
	(void)json_add_u64(json, "files", summary->files);
	(void)json_add_u64(json, "directories", summary->directories);
	(void)json_add_u64(json, "others", summary->others);
	(void)json_add_u64(json, "bytes", summary->bytes);
	(void)json_add_u64(json, "stubs", summary->stubs);
	(void)json_add_u64(json, "kept", summary->kept);
	(void)json_add_u64(json, "lost_files", summary->lost_files);
	(void)json_add_u64(json, "lost_bytes", summary->lost_bytes);
	(void)json_add_u64(json, "problems", summary->problems);
	print_json(json);
}

/* Not on standard output when that is the tar stream. */
static void print_summary(const struct request *request,
			  const struct restore_summary *summary, FILE *out)
{
	uint64_t elapsed = progress_elapsed(&request->progress);
	char bytes[SIZE_TEXT_MAX];
	char lost[SIZE_TEXT_MAX];
	char rate[SIZE_TEXT_MAX];

	(void)fprintf(out,
		      "restored %" PRIu64 " files, %" PRIu64 " folders, %" PRIu64
		      " others: %s at %s\n",
		      summary->files, summary->directories, summary->others,
		      size_format(summary->bytes, bytes),
		      format_rate(summary->bytes, elapsed, rate));
	if (summary->stubs > 0)
		(void)fprintf(out,
			      "%" PRIu64 " files are stubs: their content comes "
			      "back when somebody opens them\n",
			      summary->stubs);
	if (summary->kept > 0)
		(void)fprintf(out, "%" PRIu64 " files were there already\n",
			      summary->kept);
	if (summary->lost_files > 0)
		(void)fprintf(out, "lost beyond repair: %s in %" PRIu64 " files\n",
			      size_format(summary->lost_bytes, lost),
			      summary->lost_files);
	if (summary->problems > 0)
		(void)fprintf(out, "%" PRIu64 " problem%s\n", summary->problems,
			      summary->problems == 1 ? "" : "s");
}

static enum exit_code finish(const struct request *request,
			     const struct restore_summary *summary, int r,
			     const struct error *err)
{
	const struct invocation *invocation = request->invocation;
	bool tar = option_flag(invocation->options, "tar");

	if (invocation->json)
		print_summary_json(summary);
	else if (!invocation->quiet && (!tar || summary->problems > 0))
		print_summary(request, summary, tar ? stderr : stdout);
	session_note_repairs(invocation, request->archive);
	if (r < 0 && summary->lost_files == 0)
		return session_fail_lookup(r, err);
	if (r < 0)
		(void)fail(r, err);
	if (summary->lost_files > 0)
		return CODE_LOST;
	return summary->problems > 0 ? CODE_PARTIAL : CODE_DONE;
}

/* What to restore. */

static const char *last_component(const char *path)
{
	const char *last = path;

	for (; *path; path++)
		if (path[0] == '/' && path[1] != '/' && path[1] != '\0')
			last = path + 1;
	return last;
}

static bool same_component(const char *a, const char *b)
{
	size_t size = strcspn(a, "/");

	return size == strcspn(b, "/") && memcmp(a, b, size) == 0;
}

/* Each PATH becomes DIR/its last component: no two may become the same. */
static enum exit_code check_names(const struct invocation *invocation)
{
	const struct options *options = invocation->options;
	size_t count = options_argument_count(options);

	for (size_t i = 0; i < count; i++) {
		const char *path = options_argument(options, i);

		if (count > 1 && strspn(path, "/") == strlen(path))
			return fail_usage(invocation, "'%s' is everything: name it alone",
					  path);
		for (size_t j = 0; j < i; j++) {
			const char *other = options_argument(options, j);

			if (same_component(last_component(path), last_component(other)))
				return fail_usage(invocation,
						  "'%s' and '%s' would get one name",
						  other, path);
		}
	}
	return CODE_DONE;
}

static enum exit_code check_usage(struct request *request)
{
	static const char *const pairs[][3] = {
		{ "to", "tar" },    { "version", "at" }, { "tar", "resume" },
		{ "tar", "force" }, { "tar", "json" },   { "tar", "stubs" },
	};
	const struct invocation *invocation = request->invocation;
	const struct options *options = invocation->options;
	struct error err = { 0 };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (options_at_most_one(options, pairs[i], &err) < 0)
			return fail_usage(invocation, "%s", err.text);
	if (option_u64(options, "version", 1, UINT32_MAX, &request->version, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	if (!option_given(options, "to") && !option_flag(options, "tar"))
		return fail_usage(invocation, "--to DIR or --tar must say where to");
	if (option_flag(options, "tar") && isatty(STDOUT_FILENO))
		return fail_usage(invocation, "--tar: standard output is a terminal");
	if (request->version && options_argument_count(options) > 1)
		return fail_usage(invocation, "--version is for one PATH");
	return check_names(invocation);
}

static int find_keys(struct request *request, struct error *err)
{
	const struct options *options = request->invocation->options;
	size_t count = options_argument_count(options);

	request->keys = calloc(count, sizeof(*request->keys));
	if (!request->keys)
		return error_set(err, -ENOMEM, "out of memory");
	for (; request->key_count < count; request->key_count++) {
		const char *path = options_argument(options, request->key_count);
		int r = path_argument_key(path, &request->keys[request->key_count], err);

		if (r < 0)
			return error_prefix(err, r, "'%s'", path);
	}
	return 0;
}

/* Every PATH exists: better told before anything is written. */
static int check_keys(const struct request *request, struct error *err)
{
	const struct options *options = request->invocation->options;

	for (size_t i = 0; i < request->key_count && !request->version; i++) {
		const struct bytes *key = &request->keys[i];
		struct version_row row = { 0 };
		int r;

		if (key->size == 0)
			continue;
		r = catalog_get_version(archive_catalog(request->archive), key->data,
					key->size, request->at, &row, err);
		version_row_done(&row);
		if (r == CATALOG_END)
			r = error_set(err, -ENOENT, "no such path in the archive");
		if (r < 0)
			return error_prefix(err, r, "'%s'", options_argument(options, i));
	}
	return 0;
}

/* The row of --version. An older version of a folder is a listing at some commit, which
 * --at says better. */
static int find_version(struct request *request, struct error *err)
{
	const char *path = options_argument(request->invocation->options, 0);
	struct manifest manifest = { 0 };
	int r;

	if (!request->version)
		return 0;
	r = version_lookup(request->archive, path, request->version, VERSION_CURRENT,
			   &request->row, &manifest, err);
	if (r == 0 && manifest.type == ENTRY_DIRECTORY)
		r = error_set(err, -EISDIR,
			      "'%s': --version is for single entries; --at restores a "
			      "folder as it was",
			      path);
	manifest_done(&manifest);
	return r;
}

/* With --stubs: what makes files stubs; *stubs_out is the caller's. */
static int prepare_stubs(const struct request *request, struct stub_restore **stubs_out,
			 struct error *err)
{
	const struct invocation *invocation = request->invocation;
	struct hash id;

	if (!option_flag(invocation->options, "stubs"))
		return 0;
	archive_id(request->archive, &id);
	return stub_restore_new(invocation->config.tier.state,
				option_value(invocation->options, "to"), &id, stubs_out,
				err);
}

static int restore(struct request *request, const struct stub_restore *stubs,
		   struct restore_summary *summary, struct error *err)
{
	const struct options *options = request->invocation->options;
	struct restore_options restore_options = {
		.keys = request->keys,
		.key_count = request->key_count,
		.at = request->at,
		.line = request->version ? request->row.line : NULL,
		.line_size = request->row.line_size,
		.directory = option_value(options, "to"),
		.resume = option_flag(options, "resume"),
		.force = option_flag(options, "force"),
		.stubber = stubs ? stub_restore_stubber(stubs) : NULL,
		.cancel = &interrupted,
		.report = { print_problem, show_progress, request },
	};
	int r;

	progress_init(&request->progress, request->invocation, "restored");
	r = option_flag(options, "tar")
		    ? tar_write(request->archive, &restore_options, STDOUT_FILENO,
				summary, err)
		    : restore_run(request->archive, &restore_options, summary, err);
	progress_done(&request->progress);
	return r;
}

static enum exit_code run_request(struct request *request)
{
	struct restore_summary summary = { 0 };
	autoptr(stub_restore) stubs = NULL;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_commit_at(request->invocation, request->archive, &request->at);
	if (code != CODE_DONE)
		return code;
	r = find_keys(request, &err);
	if (r == 0)
		r = check_keys(request, &err);
	if (r == 0)
		r = find_version(request, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	r = prepare_stubs(request, &stubs, &err);
	if (r < 0)
		return fail(r, &err);
	interrupt_catch();
	r = restore(request, stubs, &summary, &err);
	return finish(request, &summary, r, &err);
}

static enum exit_code run(struct invocation *invocation)
{
	struct request request = { .invocation = invocation };
	autoptr(archive) archive = NULL;
	enum exit_code code;

	code = check_usage(&request);
	if (code == CODE_DONE)
		code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	request.archive = archive;
	code = run_request(&request);
	for (size_t i = 0; i < request.key_count; i++)
		free(request.keys[i].data);
	free(request.keys);
	version_row_done(&request.row);
	return code;
}

const struct command command_restore = {
	.name = "restore",
	.summary = "restore files and folders",
	.usage = "[--at COMMIT | --version N] [--resume] [--force] {--to DIR [--stubs] | "
		 "--tar} "
		 "PATH...",
	.details =
		"Each PATH becomes DIR/its last component; '/' is everything. A file "
		"gets "
		"its name only when it is\ncomplete and verified. Of a file with lost "
		"content, what can be read is left in NAME.blockframe-damaged.\nWith "
		"--tar: a tar stream on standard output, which ends short if content is "
		"lost.\nWith --stubs content comes back when somebody opens the file: "
		"'tier run' must run.",
	.options =
		(const struct option_spec[]){
			{ 0, "to", "DIR", "the folder to restore to; made if missing" },
			{ 0, "at", "COMMIT", "as of this commit (number or hash)" },
			{ 0, "version", "N", "this version of PATH" },
			{ 0, "resume", NULL,
			  "keep files that are there with the right size and time" },
			{ 0, "force", NULL, "replace files that are there" },
			{ 0, "stubs", NULL,
			  "as stubs of a hot tier, which DIR is in: without content" },
			{ 0, "tar", NULL, "a tar stream (pax) on standard output" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = SIZE_MAX,
	.run = run,
};
