/* SPDX-License-Identifier: MIT */
/* One commit for the whole pass. Its sources come out of the table one by one, so that there may
 * be any number of them. It only adds: each file is a source of its own.
 */
#include "tier/pass_own.h"

#include "archive/archive.h"
#include "archive/commit.h"
#include "base/cleanup.h"
#include "base/config_find.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/candidate_table.h"
#include "tier/tier_list.h"

#include <errno.h>

static int next_source(void *context, struct commit_source *source_out, struct error *err)
{
	struct pass *pass = context;
	struct candidate candidate;
	int r;

	r = candidate_table_next_key(pass->table, CANDIDATE_COMMIT, &candidate, err);
	if (r != 0)
		return r == CATALOG_END ? 0 : r;
	r = pass_name(pass, &candidate, err);
	if (r < 0)
		return r;
	if (pace_wait(&pass->pace, candidate.size) < 0)
		return pass_check(pass, err);
	source_out->path = pass->path.data;
	source_out->destination = pass->into.data;
	return 1;
}

/* What is not in the commit, or not as it is, the daemon finds out, too. */
static void report(void *context, enum commit_problem problem, const char *path,
		   const struct error *err)
{
	(void)context;
	log_debug("%s: %s", path,
		  err && err->text[0] ? err->text : commit_problem_name(problem));
}

static int commit(struct pass *pass, struct archive *archive, struct error *err)
{
	struct commit_options options = { 0 };
	struct commit_summary summary = { 0 };
	int r;

	commit_options_init(&options, archive);
	options.next_source = next_source;
	options.next_context = pass;
	options.replace = true;
	options.message = "hot tier";
	options.callbacks = (struct commit_callbacks){
		.problem = report,
		.cancel = pass->options->cancel,
	};
	r = commit_run(archive, &options, &summary, err);
	if (r == 0 && summary.too_few_copies)
		r = error_set(err, -EIO,
			      "the commit exists, but on fewer volumes than [volume] "
			      "min_copies: 'blockframe health' copies it to others");
	return r;
}

int pass_commit(struct pass *pass, struct error *err)
{
	const char *directory = pass->options->tier->archive;
	autoconfig struct config config = { 0 };
	const struct archive_options options = { .directory = directory,
						 .config = &config,
						 .writable = true };
	autoptr(archive) archive = NULL;
	int r;

	if (pass->result->committed.count == 0)
		return 0;
	r = config_resolve_archive(&config, directory, err);
	if (r == 0)
		r = archive_open(&options, &archive, err);
	if (r == 0)
		r = commit(pass, archive, err);
	if (r < 0)
		return error_prefix(err, r, "archive '%s'", directory);
	return candidate_table_move(pass->table, CANDIDATE_COMMIT, CANDIDATE_STUB, err);
}
