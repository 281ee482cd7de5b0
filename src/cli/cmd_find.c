/* SPDX-License-Identifier: MIT */
/* find: paths by what is known about them. A hash is looked up; a folder as of one commit is
 * walked; everything else reads the whole catalog.
 */
#include "cli/command.h"
#include "cli/find_filter.h"
#include "cli/print.h"
#include "cli/remote_options.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "base/error.h"
#include "catalog/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct find {
	const struct invocation *invocation;
	struct find_filter filter;
	bool all_versions;
};

static void print_commits(const struct version_row *row)
{
	(void)printf("%6" PRIu64 " ", row->first);
	if (row->end == VERSION_CURRENT)
		(void)printf("%8s ", "now");
	else
		(void)printf("%8" PRIu64 " ", row->end);
}

static int print_found(const struct find *find, const uint8_t *key, size_t key_size,
		       const struct version_row *row)
{
	autofree char *path = NULL;

	if (find->invocation->json) {
		(void)printf("%s\n", row->line);
		return 0;
	}
	if (key_to_path(key, key_size, &path) < 0)
		return -ENOMEM;
	if (find->all_versions)
		print_commits(row);
	print_name(path, strlen(path));
	(void)putchar('\n');
	return 0;
}

static int visit(void *context, const uint8_t *key, size_t key_size,
		 const struct version_row *row, struct error *err)
{
	const struct find *find = context;
	int r;

	if (atomic_load(&interrupted))
		return error_set(err, -EINTR, "interrupted");
	r = find_filter_match(&find->filter, key, key_size, row);
	if (r == 1)
		r = print_found(find, key, key_size, row);
	return r < 0 ? error_set(err, r, "out of memory") : 0;
}

/* A private catalog of what a server has is filled as it is walked through, and has nothing
 * that could be looked up. */
static int search(struct find *find, struct archive *archive, uint64_t at,
		  struct error *err)
{
	struct catalog *catalog = archive_catalog(archive);
	const struct find_filter *filter = &find->filter;
	struct search search = {
		.at = at,
		.all = find->all_versions,
		.hash = filter->hash[0] ? filter->hash : NULL,
		.type = filter->type,
		.size_min = filter->size_min,
		.size_max = filter->size_max,
	};
	int r;

	r = find_filter_load_tags(&find->filter, catalog, err);
	if (r < 0)
		return r;
	if (!archive_origin(archive) &&
	    (search.all || search.hash || filter->folder.size == 0))
		return catalog_search(catalog, &search, visit, find, err);
	r = catalog_walk(catalog, filter->folder.data, filter->folder.size, at, visit,
			 find, err);
	return r == -ENOENT ? error_set(err, r, "'%s': no such path in the archive",
					options_argument(find->invocation->options, 0))
			    : r;
}

static enum exit_code run_find(struct find *find)
{
	const struct invocation *invocation = find->invocation;
	autoptr(archive) archive = NULL;
	struct error err = { 0 };
	enum exit_code code;
	uint64_t at;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code == CODE_DONE)
		code = session_commit_at(invocation, archive, &at);
	if (code != CODE_DONE)
		return code;
	interrupt_catch();
	r = search(find, archive, at, &err);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

/* What only a catalog of the whole history knows. */
static int check_remote(const struct options *options, struct error *err)
{
	static const char *const pairs[][3] = { { "remote", "all-versions" },
						{ "remote", "tag" } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++)
		r = options_at_most_one(options, pairs[i], err);
	return r;
}

static enum exit_code run(struct invocation *invocation)
{
	static const char *const pair[] = { "at", "all-versions", NULL };
	struct find find = { .invocation = invocation };
	struct error err = { 0 };
	enum exit_code code;
	int r;

	find.all_versions = option_flag(invocation->options, "all-versions");
	r = find_filter_make(&find.filter, invocation->options, &err);
	if (r == 0)
		r = check_remote(invocation->options, &err);
	if (r == 0)
		r = options_at_most_one(invocation->options, pair, &err);
	code = r < 0 ? fail_usage(invocation, "%s", err.text) : run_find(&find);
	find_filter_done(&find.filter);
	return code;
}

const struct command command_find = {
	.name = "find",
	.summary = "find files by name, size, time, content or tag",
	.usage = "[OPTIONS] [PATH]",
	.details = "Prints the paths of all entries at or below PATH for which every "
		   "option holds. With\n--all-versions, the first two columns are the "
		   "commit a version came with and the one that\nended it. With --json: "
		   "one manifest a line.",
	.options =
		(const struct option_spec[]){
			{ 0, "name", "GLOB",
			  "the last component matches; a/b: the last two" },
			{ 0, "size", "[+-]N", "files of N bytes, more, less; 10M, 4KiB",
			  true },
			{ 0, "newer", "TIME",
			  "modified after 2024-05-01, or within the last 30d" },
			{ 0, "hash", "HEX", "the BLAKE3 hash begins so" },
			{ 0, "tag", "KEY[=VALUE]",
			  "came with a commit that has this tag" },
			{ 0, "type", "TYPE",
			  "file, directory, symlink, ... or f, d, l, ..." },
			{ 0, "at", "COMMIT", "as of this commit (number or hash)" },
			{ 0, "all-versions", NULL, "search versions that ended, too" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.arguments_max = 1,
	.run = run,
};
