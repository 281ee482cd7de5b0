/* SPDX-License-Identifier: MIT */
/* The steps:
 *
 *   1. the folder is gone through; what the policy would take goes into a table
 *   2. from the oldest and largest on, files are looked at more closely, until enough is found
 *   3. those that the archive does not have, or not as they are, are committed: one commit,
 *      which only adds
 *   4. the daemon makes stubs, one by one, as for `tier stub` (tier/stubber.h): it reads the
 *      file back from the archive, and finds out itself whether it still is what it was
 *
 * Nothing of this has to be undone. Whatever ends it, the next pass begins at 1, and finds in
 * the archive what this one has committed.
 */
#include "tier/pass.h"

#include "archive/archive.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/candidate_table.h"
#include "merkle/key.h"
#include "tier/control.h"
#include "tier/pass_own.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>

/* ---- what its parts use ---- */

const char *pass_rest(const struct pass *pass)
{
	const char *rest = "";

	(void)tier_path_below(pass->path.data, pass->options->tier->folder, &rest);
	return rest;
}

static int append_below(struct text *text, const char *folder, const char *rest)
{
	size_t size = strlen(folder);
	int r;

	text_clear(text);
	r = text_append(text, folder);
	if (r == 0 && size > 0 && folder[size - 1] != '/')
		r = text_append_char(text, '/');
	return r < 0 ? r : text_append(text, rest);
}

int pass_name(struct pass *pass, const struct candidate *candidate, struct error *err)
{
	const struct tier_entry *tier = pass->options->tier;
	autofree char *rest = NULL;
	int r;

	r = key_to_path(candidate->key, candidate->key_size, &rest);
	if (r == 0)
		r = append_below(&pass->path, tier->folder, rest);
	if (r == 0)
		r = append_below(&pass->into, tier->into, rest);
	return r < 0 ? error_set(err, r, "no memory for a path") : 0;
}

void pass_count(struct pass *pass, enum policy_skip skip,
		const struct candidate *candidate)
{
	tally_add(&pass->result->counts.skipped[skip], candidate->size, candidate->space);
}

void pass_complain(struct pass *pass, const char *text)
{
	autotext struct text name = { 0 };

	if (text_append_quoted(&name, pass->path.data, pass->path.size) == 0)
		log_error("%s: %s", text_string(&name), text);
}

int pass_check(const struct pass *pass, struct error *err)
{
	const atomic_bool *cancel = pass->options->cancel;

	return cancel && atomic_load(cancel) ? error_set(err, -EINTR, "interrupted") : 0;
}

/* ---- stubs ---- */

/* Why the daemon made no stub of it. */
static enum policy_skip skip_of(int r)
{
	switch (r) {
	case -EBUSY:
	case -ETXTBSY:
		return POLICY_IN_USE;
	case -ESTALE:
		return POLICY_CHANGED;
	case -EALREADY:
		return POLICY_STUB;
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
		return POLICY_GONE;
	case -EINVAL:
	case -ENAMETOOLONG:
		return POLICY_SPECIAL;
	default:
		return POLICY_FAILED;
	}
}

static int make_stub(struct pass *pass, const struct candidate *candidate,
		     struct error *err)
{
	struct control_answer answer;
	struct error why = { 0 };
	enum policy_skip skip;
	int r;

	r = pass_name(pass, candidate, err);
	if (r < 0)
		return r;
	if (pace_wait(&pass->pace, candidate->size) < 0)
		return pass_check(pass, err);
	r = control_ask(pass->options->daemon, CONTROL_STUB, pass->path.data, &answer,
			&why);
	if (r == -EPIPE)
		return error_set(err, r, "%s", why.text);
	crash_point("tier.pass.stub");
	if (r == 0) {
		tally_add(&pass->result->stubs, candidate->size, candidate->space);
	} else {
		skip = skip_of(r);
		pass_count(pass, skip, candidate);
		if (skip == POLICY_FAILED)
			pass_complain(pass, why.text);
	}
	return candidate_table_set(pass->table, candidate, CANDIDATE_DONE, err);
}

static int make_stubs(struct pass *pass, struct error *err)
{
	struct candidate candidate;
	int r;

	candidate_table_rewind(pass->table);
	while ((r = candidate_table_next_rank(pass->table, CANDIDATE_STUB, &candidate,
					      err)) == 0) {
		r = pass_check(pass, err);
		if (r == 0)
			r = make_stub(pass, &candidate, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* ---- all of it ---- */

/* Only one pass is at work; a dry run does not get in its way. */
static int lock(const struct pass_options *options, int *lock_out, struct error *err)
{
	const char *name = options->dry_run ? "scan.lock" : "pass.lock";
	autoclose int fd =
		openat(options->state_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, -EBUSY, "another pass is at work");
	*lock_out = take_fd(&fd);
	return 0;
}

static int open_table(struct pass *pass, struct error *err)
{
	const struct pass_options *options = pass->options;
	autotext struct text path = { 0 };
	int r = text_appendf(&path, "%s/%s.db", options->state,
			     options->dry_run ? "scan" : "pass");

	if (r < 0)
		return error_set(err, r, "no memory for a path");
	return candidate_table_new(text_string(&path), &pass->table, err);
}

static int look_at_file_system(struct pass *pass, struct error *err)
{
	const struct tier_entry *tier = pass->options->tier;
	struct pass_result *result = pass->result;
	struct statvfs info;
	struct tier_uuid uuid;
	int r;

	pass->root_fd = open(tier->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pass->root_fd < 0 || fstatvfs(pass->root_fd, &info) < 0)
		return error_set_errno(err, -errno, "'%s'", tier->folder);
	r = tier_uuid_get(pass->root_fd, &uuid, err);
	if (r == 0 && memcmp(&uuid, &tier->uuid, sizeof(uuid)) != 0)
		r = error_set(err, -ESTALE, "it is on another file system than it was");
	if (r == 0 && (r = policy_usage_get(pass->root_fd, &result->usage)) < 0)
		(void)error_set_errno(err, r, "free space");
	if (r < 0)
		return error_prefix(err, r, "'%s'", tier->folder);
	result->noatime = info.f_flag & ST_NOATIME;
	result->wanted = policy_wanted(&tier->policy, &result->usage);
	return 0;
}

static int scan(struct pass *pass, struct error *err)
{
	const struct pass_options *options = pass->options;
	const struct scan scan = { .folder = options->tier->folder,
				   .policy = &options->tier->policy,
				   .table = pass->table,
				   .cancel = options->cancel,
				   .counts = &pass->result->counts };

	return scan_run(&scan, err);
}

static int run(struct pass *pass, struct error *err)
{
	int r;

	r = look_at_file_system(pass, err);
	if (r == 0)
		r = open_table(pass, err);
	if (r == 0)
		r = scan(pass, err);
	crash_point("tier.pass.scanned");
	if (r == 0)
		r = pass_choose(pass, err);
	crash_point("tier.pass.chosen");
	if (r < 0 || pass->options->dry_run)
		return r;
	r = pass_commit(pass, err);
	crash_point("tier.pass.committed");
	return r < 0 ? r : make_stubs(pass, err);
}

int pass_run(const struct pass_options *options, struct pass_result *result_out,
	     struct error *err)
{
	struct pass pass = { .options = options, .result = result_out, .root_fd = -1 };
	uint64_t start = clock_monotonic_ns();
	autoclose int fd = -1;
	int r;

	*result_out = (struct pass_result){ .time = clock_realtime_ns(),
					    .dry_run = options->dry_run };
	pass.pace.rate = options->tier->policy.rate;
	pass.pace.cancel = options->cancel;
	(void)signal(SIGIO, SIG_IGN); /* tier/obstacle.h */
	r = lock(options, &fd, err);
	if (r == 0)
		r = run(&pass, err);
	result_out->complete = r == 0;
	result_out->duration = clock_monotonic_ns() - start;
	candidate_table_free(pass.table);
	archive_free(pass.archive);
	cleanup_close_p(&pass.root_fd);
	text_done(&pass.path);
	text_done(&pass.into);
	return r;
}
