/* SPDX-License-Identifier: MIT */
/* A file that the archive has as it is needs no commit. Its change time does not count, for
 * becoming a stub and coming back changes that; what it is compared by are its other
 * attributes and its hash. (The daemon compares content with hash once more.)
 */
#include "tier/pass_own.h"

#include "archive/archive.h"
#include "archive/compare_entry.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/config_find.h"
#include "base/error.h"
#include "base/timestamp.h"
#include "catalog/candidate_table.h"
#include "catalog/history.h"
#include "tier/marker.h"
#include "tier/object.h"
#include "tier/obstacle.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_below(const struct pass *pass, const char *rest, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, pass->root_fd, rest, &how, sizeof(how));
}

/* ---- what the archive has ---- */

static int open_archive(struct pass *pass, struct error *err)
{
	autoconfig struct config config = { 0 };
	const char *directory = pass->options->tier->archive;
	const struct archive_options options = { .directory = directory,
						 .config = &config };
	int r = config_resolve_archive(&config, directory, err);

	if (r == 0)
		r = archive_open(&options, &pass->archive, err);
	return r < 0 ? error_prefix(err, r, "archive '%s'", directory) : 0;
}

/* CATALOG_END: nothing, or something else. */
static int find_version(struct pass *pass, const struct stat *stat,
			struct version_row *row, struct error *err)
{
	struct bytes key = { 0 };
	int r = key_from_path(pass->into.data, &key, err);

	if (r < 0)
		return r == -EINVAL ? CATALOG_END : r;
	r = catalog_get_version(archive_catalog(pass->archive), key.data, key.size,
				VERSION_CURRENT, row, err);
	free(key.data);
	if (r == 0 && (row->type != ENTRY_FILE || row->size != (uint64_t)stat->st_size ||
		       row->mtime.seconds != stat->st_mtim.tv_sec ||
		       row->mtime.nanoseconds != (uint32_t)stat->st_mtim.tv_nsec)) {
		version_row_done(row);
		return CATALOG_END;
	}
	return r;
}

/* Whether the file's attributes are those of the version. */
static int compare_attributes(struct pass *pass, const struct version_row *row,
			      const struct stat *stat, bool *same_out, struct error *err)
{
	const char *rest = pass_rest(pass);
	const char *slash = strrchr(rest, '/');
	autofree char *folder = slash ? strndup(rest, (size_t)(slash - rest)) : NULL;
	struct manifest manifest = { 0 };
	autoclose int fd = -1;
	unsigned attributes;
	int r;

	if (slash && !folder)
		return error_set(err, -ENOMEM, "no memory for a path");
	fd = open_below(pass, folder ? folder : ".", O_PATH | O_DIRECTORY);
	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r < 0)
		return r;
	*same_out = fd >= 0 &&
		    compare_entry(&manifest, fd, slash ? slash + 1 : rest, stat, false,
				  &attributes) == 0 &&
		    attributes == 0;
	manifest_done(&manifest);
	return 0;
}

static int check_chunk(void *context)
{
	const struct pass *pass = context;

	return pass_check(pass, NULL);
}

/* Without reading it in a dry run. */
static int compare_content(struct pass *pass, int fd, const struct version_row *row,
			   bool *same_out, struct error *err)
{
	const struct object_watch watch = { .chunk = check_chunk, .context = pass };
	struct hash hash;
	int r;

	if (pass->options->dry_run)
		return 0;
	if (pace_wait(&pass->pace, row->size) < 0)
		return pass_check(pass, err);
	r = object_hash_file(fd, row->size, &watch, &hash, err);
	*same_out = r == 0 && hash_equal(&hash, &row->hash);
	return r == -ESTALE ? 0 : r;
}

static int find_out_if_known(struct pass *pass, int fd, const struct stat *stat,
			     bool *known_out, struct error *err)
{
	struct version_row row = { 0 };
	bool same = false;
	int r = find_version(pass, stat, &row, err);

	*known_out = false;
	if (r != 0)
		return r == CATALOG_END ? 0 : r;
	r = compare_attributes(pass, &row, stat, &same, err);
	if (r == 0 && same)
		r = compare_content(pass, fd, &row, &same, err);
	version_row_done(&row);
	*known_out = same;
	return r;
}

/* ---- the file ---- */

/* Whether the archive can have something of that name: else nothing of the pass would be
 * committed. */
static bool has_name(const struct pass *pass)
{
	struct bytes key = { 0 };
	int r = key_from_path(pass->into.data, &key, NULL);

	free(key.data);
	return r != -EINVAL;
}

/* A closer look. *fd_out is open if it can become a stub. */
static enum policy_skip probe(struct pass *pass, int *fd_out, struct stat *stat_out)
{
	const struct config_tier *policy = &pass->options->tier->policy;
	int64_t now = clock_realtime_ns() / (int64_t)NS_PER_SECOND;
	autoclose int path = open_below(pass, pass_rest(pass), O_PATH);
	autoclose int fd = -1;
	struct marker marker;
	enum policy_skip skip;

	if (!has_name(pass))
		return POLICY_SPECIAL;
	if (path < 0)
		return POLICY_GONE;
	if (marker_get_path_fd(path, &marker) != -ENODATA)
		return POLICY_STUB;
	fd = open_below(pass, pass_rest(pass), O_RDONLY | O_NOATIME | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? POLICY_GONE : POLICY_SPECIAL;
	if (fstat(fd, stat_out) < 0 || !S_ISREG(stat_out->st_mode) ||
	    policy_judge(policy, stat_out, now) != POLICY_TAKE)
		return POLICY_CHANGED;
	skip = obstacle_find(fd, NULL);
	if (skip == POLICY_TAKE)
		skip = obstacle_find_user(fd);
	if (skip == POLICY_TAKE)
		*fd_out = take_fd(&fd);
	return skip;
}

static int choose(struct pass *pass, const struct candidate *candidate, struct error *err)
{
	const struct pass_options *options = pass->options;
	struct pass_result *result = pass->result;
	autoclose int fd = -1;
	enum policy_skip skip;
	struct stat stat;
	bool known;
	int r;

	r = pass_name(pass, candidate, err);
	if (r < 0)
		return r;
	skip = probe(pass, &fd, &stat);
	if (skip != POLICY_TAKE) {
		pass_count(pass, skip, candidate);
		return 0;
	}
	r = find_out_if_known(pass, fd, &stat, &known, err);
	if (r < 0)
		return r;
	tally_add(&result->chosen, candidate->size, candidate->space);
	if (!known)
		tally_add(&result->committed, candidate->size, candidate->space);
	if (options->chosen)
		options->chosen(options->context, pass->path.data, candidate, known);
	return candidate_table_set(pass->table, candidate,
				   known ? CANDIDATE_STUB : CANDIDATE_COMMIT, err);
}

int pass_choose(struct pass *pass, struct error *err)
{
	struct pass_result *result = pass->result;
	struct tally *eligible = &result->counts.eligible;
	struct tally *enough = &result->counts.skipped[POLICY_ENOUGH];
	uint64_t looked_at = 0, size = 0, space = 0;
	struct candidate candidate;
	int r = 0;

	if (eligible->count > 0 && result->wanted > 0)
		r = open_archive(pass, err);
	while (r == 0 && result->chosen.space < result->wanted) {
		r = candidate_table_next_rank(pass->table, CANDIDATE_FOUND, &candidate,
					      err);
		if (r != 0)
			break;
		looked_at++;
		size += candidate.size;
		space += candidate.space;
		r = pass_check(pass, err);
		if (r == 0)
			r = choose(pass, &candidate, err);
	}
	if (r < 0)
		return r;
	enough->count = eligible->count - looked_at;
	enough->size = eligible->size - size;
	enough->space = eligible->space - space;
	archive_free(take_ptr(pass->archive)); /* its memory is wanted */
	return 0;
}
