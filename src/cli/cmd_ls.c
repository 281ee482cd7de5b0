/* SPDX-License-Identifier: MIT */
/* ls: the tree as of now, or as of a commit; or all versions of one path. Streams, so that a
 * folder of any size prints at once.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/remote_options.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct ls {
	const struct invocation *invocation;
	size_t depth_key; /* bytes of the listed folder's key; it is not printed itself */
	bool recursive;
	bool is_long;
};

static int print_plain(const struct ls *ls, const char *path,
		       const struct version_row *row, struct error *err)
{
	struct manifest manifest = { 0 };
	int r;

	if (ls->is_long) {
		r = manifest_decode(row->line, row->line_size, &manifest, err);
		if (r < 0)
			return r;
		print_long(&manifest);
	}
	print_name(path, strlen(path));
	if (ls->is_long && manifest.type == ENTRY_SYMLINK) {
		(void)fputs(" -> ", stdout);
		print_name(manifest.target.data, manifest.target.size);
	}
	(void)putchar('\n');
	manifest_done(&manifest);
	return 0;
}

static int print_entry(const struct ls *ls, const uint8_t *key, size_t key_size,
		       const struct version_row *row, struct error *err)
{
	autofree char *path = NULL;
	int r;

	if (ls->invocation->json) {
		(void)printf("%s\n", row->line);
		return 0;
	}
	r = key_to_path(key, key_size, &path);
	if (r < 0)
		return error_set(err, r, "out of memory");
	return print_plain(ls, path, row, err);
}

/* Names are printed relative to the folder that was asked for. */
static int visit(void *context, const uint8_t *key, size_t key_size,
		 const struct version_row *row, struct error *err)
{
	const struct ls *ls = context;
	size_t skip = ls->depth_key ? ls->depth_key + 1 : 0;
	int r;

	if (atomic_load(&interrupted))
		return error_set(err, -EINTR, "interrupted");
	if (key_size == ls->depth_key && row->type == ENTRY_DIRECTORY)
		return 0;
	if (key_size == ls->depth_key)
		return print_entry(ls, key, key_size, row, err);
	r = print_entry(ls, key + skip, key_size - skip, row, err);
	if (r < 0)
		return r;
	return ls->recursive ? 0 : WALK_SKIP;
}

static int list_versions(const struct ls *ls, struct catalog *catalog,
			 const struct bytes *key, struct error *err)
{
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	uint64_t count = 0;
	int r;

	r = listing_versions(catalog, key->data, key->size, &listing, err);
	if (r < 0)
		return r;
	while ((r = listing_next(listing, &row, err)) == 0) {
		if (ls->invocation->json) {
			(void)printf("%s\n", row.line);
		} else {
			(void)printf("%6" PRIu64 " ", row.first);
			if (row.end == VERSION_CURRENT)
				(void)printf("%8s ", "now");
			else
				(void)printf("%8" PRIu64 " ", row.end);
			r = print_entry(ls, key->data, key->size, &row, err);
			if (r < 0)
				break;
		}
		count++;
	}
	version_row_done(&row);
	if (r == CATALOG_END)
		r = count ? 0 : error_set(err, -ENOENT, "no such path in the archive");
	return r;
}

static int list(const struct ls *ls, struct archive *archive, const struct bytes *key,
		uint64_t at, struct error *err)
{
	struct catalog *catalog = archive_catalog(archive);

	if (option_flag(ls->invocation->options, "versions"))
		return list_versions(ls, catalog, key, err);
	return catalog_walk(catalog, key->data, key->size, at, visit,
			    (void *)(uintptr_t)ls, err);
}

static int check_options(const struct options *options, struct error *err)
{
	static const char *const pairs[][3] = { { "versions", "at" },
						{ "versions", "recursive" },
						{ "long", "json" } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++)
		r = options_at_most_one(options, pairs[i], err);
	return r;
}

static enum exit_code run(struct invocation *invocation)
{
	const struct options *options = invocation->options;
	const char *path =
		options_argument_count(options) ? options_argument(options, 0) : "/";
	struct ls ls = {
		.invocation = invocation,
		.recursive = option_flag(options, "recursive"),
		.is_long =
			option_flag(options, "long") || option_flag(options, "versions"),
	};
	autoptr(archive) archive = NULL;
	struct bytes key = { 0 };
	struct error err = { 0 };
	enum exit_code code;
	uint64_t at;
	int r;

	if (check_options(options, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	code = session_open(invocation, SESSION_READ, &archive);
	if (code == CODE_DONE)
		code = session_commit_at(invocation, archive, &at);
	if (code != CODE_DONE)
		return code;

	interrupt_catch();
	r = path_argument_key(path, &key, &err);
	ls.depth_key = key.size;
	if (r == 0)
		r = list(&ls, archive, &key, at, &err);
	if (r == -ENOENT)
		(void)error_set(&err, r, "no such path in the archive");
	if (r < 0)
		(void)error_prefix(&err, r, "'%s'", path);
	free(key.data);
	return r < 0 ? session_fail_lookup(r, &err) : CODE_DONE;
}

const struct command command_ls = {
	.name = "ls",
	.summary = "list the archive's tree",
	.usage = "[-l] [-R] [--at COMMIT] [--versions] [PATH]",
	.details = "With --versions: every version of PATH; the first two columns are "
		   "the commit "
		   "it came with\nand the one that ended it. With --json: one manifest a "
		   "line.",
	.options =
		(const struct option_spec[]){
			{ 'l', "long", NULL, "attributes, size, time and version" },
			{ 'R', "recursive", NULL, "everything below PATH" },
			{ 0, "at", "COMMIT", "as of this commit (number or hash)" },
			{ 0, "versions", NULL, "all versions of PATH" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.arguments_max = 1,
	.run = run,
};
