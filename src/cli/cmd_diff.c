/* SPDX-License-Identifier: MIT */
/* diff: is what is on disk in the archive? The last line answers that, and no more than was
 * compared: only with --content, and without any difference, it says that the source is safe
 * to delete. The exit codes are those of diff(1), with 2 for all trouble.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/compare.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/size.h"
#include "base/text.h"
#include "catalog/history.h"
#include "tier/known_stubs.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CODE_SAME CODE_DONE
#define CODE_DIFFERENT CODE_FAILED
#define CODE_TROUBLE CODE_USAGE

static const char *const kind_names[] = {
	[COMPARE_NEW] = "new",
	[COMPARE_GONE] = "gone",
	[COMPARE_CHANGED] = "changed",
	[COMPARE_LOST] = "lost",
	[COMPARE_UNREADABLE] = "unreadable",
};

struct diff {
	struct invocation *invocation;
	struct progress progress;
};

static void write_attributes(struct json_writer *writer, unsigned attributes)
{
	json_write_array(writer, "attributes");
	for (unsigned bit = 0; bit < COMPARE_ATTRIBUTE_COUNT; bit++)
		if (attributes & (1u << bit))
			json_write_string(writer, NULL, compare_attribute_name(bit));
	json_write_end(writer);
}

static void append_json(struct text *line, const struct compare_finding *finding)
{
	struct json_writer writer;

	json_writer_init(&writer, line);
	json_write_object(&writer, NULL);
	json_write_string(&writer, "kind", kind_names[finding->kind]);
	json_write_bytes(&writer, "path", finding->path, strlen(finding->path));
	if (finding->kind == COMPARE_CHANGED)
		write_attributes(&writer, finding->attributes);
	if (finding->kind == COMPARE_LOST) {
		json_write_u64(&writer, "offset", finding->offset);
		json_write_u64(&writer, "size", finding->size);
	}
	if (finding->err)
		json_write_bytes(&writer, "error", finding->err->text,
				 strlen(finding->err->text));
	json_write_end(&writer);
	(void)json_writer_finish(&writer);
}

static void append_attributes(struct text *line, unsigned attributes)
{
	const char *separator = "  (";

	for (unsigned bit = 0; bit < COMPARE_ATTRIBUTE_COUNT; bit++) {
		if (!(attributes & (1u << bit)))
			continue;
		(void)text_appendf(line, "%s%s", separator, compare_attribute_name(bit));
		separator = ", ";
	}
	(void)text_append_char(line, ')');
}

static void append_plain(struct text *line, const struct compare_finding *finding)
{
	(void)text_appendf(line, "%-8s ", kind_names[finding->kind]);
	(void)(isatty(STDOUT_FILENO)
		       ? text_append_quoted(line, finding->path, strlen(finding->path))
		       : text_append(line, finding->path));
	if (finding->kind == COMPARE_CHANGED)
		append_attributes(line, finding->attributes);
}

static void found(void *context, const struct compare_finding *finding)
{
	struct diff *diff = context;
	autotext struct text line = { 0 };

	if (finding->kind == COMPARE_LOST && !diff->invocation->json) {
		progress_problem(&diff->progress,
				 "'%s': %" PRIu64
				 " bytes are lost in the archive, the first at %" PRIu64,
				 finding->path, finding->size, finding->offset);
		return;
	}
	if (finding->kind == COMPARE_UNREADABLE && !diff->invocation->json) {
		progress_problem(&diff->progress, "'%s': %s", finding->path,
				 finding->err->text);
		return;
	}
	if (diff->invocation->json)
		append_json(&line, finding);
	else
		append_plain(&line, finding);
	progress_print(&diff->progress, text_string(&line));
}

static void show_progress(void *context, uint64_t entries, uint64_t bytes)
{
	struct diff *diff = context;

	progress_add(&diff->progress, entries, bytes);
}

/* The answer. */

static void print_counts(const struct compare_summary *summary)
{
	const struct {
		uint64_t count;
		const char *text;
	} counts[] = {
		{ summary->new_entries, "only on disk" },
		{ summary->gone, "only in the archive" },
		{ summary->changed, "changed" },
		{ summary->lost, "with content lost in the archive" },
		{ summary->unreadable, "that could not be compared" },
	};
	const char *separator = "";

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (counts[i].count == 0)
			continue;
		(void)printf("%s%" PRIu64 " %s", separator, counts[i].count,
			     counts[i].text);
		separator = ", ";
	}
	(void)putchar('\n');
}

static void print_difference(const struct compare_summary *summary)
{
	if (summary->new_entries + summary->changed + summary->lost +
		    summary->unreadable >
	    0)
		(void)puts("not safe to delete: not everything on disk is in the archive "
			   "as it is");
	else
		(void)puts("the archive has what is gone on disk; nothing else differs");
}

/* Never says more than what was compared. */
static void print_answer(const struct compare_summary *summary, bool content)
{
	char size[SIZE_TEXT_MAX];

	if (content)
		(void)printf("safe to delete: every byte is in the archive (%" PRIu64
			     " entries, %s compared)\n",
			     summary->entries, size_format(summary->bytes, size));
	else
		(void)printf("the same, as far as size, time and the other attributes of "
			     "%" PRIu64 " entries tell; --content compares every byte\n",
			     summary->entries);
}

static enum exit_code finish(const struct invocation *invocation,
			     const struct compare_summary *summary)
{
	bool same = summary->new_entries + summary->gone + summary->changed +
			    summary->lost + summary->unreadable ==
		    0;

	if (!invocation->json && !invocation->quiet) {
		if (same) {
			print_answer(summary,
				     option_flag(invocation->options, "content"));
		} else {
			print_counts(summary);
			print_difference(summary);
		}
	}
	if (summary->lost > 0)
		return CODE_LOST;
	if (summary->unreadable > 0)
		return CODE_PARTIAL;
	return same ? CODE_SAME : CODE_DIFFERENT;
}

/* What to compare. */

/* PATH as commits record it: absolute, without symlinks but for the last component, unless
 * a slash follows it. */
static int absolute_path(const char *path, char **absolute_out, struct error *err)
{
	size_t size = strlen(path);
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	autofree char *parent = NULL;
	autofree char *folder = NULL;

	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		*absolute_out = realpath(path, NULL);
		return *absolute_out ? 0 : error_set_errno(err, -errno, "'%s'", path);
	}
	parent = slash ? strndup(path, slash == path ? 1 : size - strlen(slash))
		       : strdup(".");
	folder = parent ? realpath(parent, NULL) : NULL;
	if (!folder)
		return error_set_errno(err, -errno, "'%s'", path);
	if (asprintf(absolute_out, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder,
		     name) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int find_entry(const struct invocation *invocation, struct archive *archive,
		      uint64_t at, const char *disk, struct bytes *key_out,
		      struct error *err)
{
	const char *path = option_value(invocation->options, "at-path");
	int r;

	if (path) {
		r = path_argument_key(path, key_out, err);
		return r < 0 ? error_prefix(err, r, "'%s'", path) : 0;
	}
	r = compare_find_source(archive, at, disk, key_out, err);
	if (r == -ENOENT || r == -ENOTUNIQ)
		return error_set(err, r,
				 r == -ENOENT ? "nothing in the archive was committed "
						"from '%s'; --at-path names the entry"
					      : "'%s' was committed to several places; "
						"--at-path names one",
				 disk);
	return r;
}

static int compare(struct diff *diff, struct archive *archive, uint64_t at,
		   struct compare_summary *summary, struct error *err)
{
	const char *path = options_argument(diff->invocation->options, 0);
	struct compare_options options = {
		.at = at,
		.content = option_flag(diff->invocation->options, "content"),
		.cancel = &interrupted,
		.found = found,
		.progress = show_progress,
		.context = diff,
	};
	autoptr(known_stubs) stubs = NULL;
	autofree char *disk = NULL;
	struct hash id;
	int r;

	archive_id(archive, &id);
	r = known_stubs_new(diff->invocation->config.tier.state, &id, &stubs, err);
	if (r == 0)
		r = absolute_path(path, &disk, err);
	if (r == 0)
		r = find_entry(diff->invocation, archive, at, disk, &options.key, err);
	if (r < 0)
		return r;
	options.disk = disk;
	options.known = known_stubs_content(stubs);
	progress_init(&diff->progress, diff->invocation, "compared");
	r = compare_run(archive, &options, summary, err);
	progress_done(&diff->progress);
	if (r == -ENOENT)
		(void)error_prefix(err, r, "can't compare '%s'", path);
	free(options.key.data);
	return r;
}

static enum exit_code trouble(enum exit_code code)
{
	return code == CODE_FAILED ? CODE_TROUBLE : code;
}

static enum exit_code run(struct invocation *invocation)
{
	struct diff diff = { .invocation = invocation };
	struct compare_summary summary = { 0 };
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	uint64_t at;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code == CODE_DONE)
		code = session_commit_at(invocation, archive, &at);
	if (code != CODE_DONE)
		return trouble(code);

	interrupt_catch();
	r = compare(&diff, archive, at, &summary, &err);
	session_note_repairs(invocation, archive);
	return r < 0 ? trouble(session_fail_lookup(r, &err))
		     : finish(invocation, &summary);
}

const struct command command_diff = {
	.name = "diff",
	.summary = "compare a folder on disk with the archive",
	.usage = "[--content] [--at COMMIT] [--at-path ARCHIVE-PATH] PATH",
	.details =
		"Compares with the entry that was committed from PATH: type, size, time, "
		"mode, owner, link target\nand xattrs; with --content also every byte. "
		"What a commit excludes is only on disk, and shown.\n"
		"Exit codes: 0 the same, 1 different, 2 trouble, 3 something could not "
		"be compared, 4 data lost.",
	.options =
		(const struct option_spec[]){
			{ 0, "content", NULL, "compare every byte" },
			{ 0, "at", "COMMIT", "as of this commit (number or hash)" },
			{ 0, "at-path", "ARCHIVE-PATH", "compare with this entry" },
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.trouble = CODE_USAGE,
	.run = run,
};
