/* SPDX-License-Identifier: MIT */
/* What the memory takes does not depend on how many files there are: names are read as the
 * kernel gives them, one descriptor for each level, and what is found goes into the table. It
 * goes as deep as paths can be given to the kernel as a whole, which those of stubs and of
 * sources of a commit are.
 */
#include "tier/scan.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "catalog/candidate_table.h"
#include "merkle/key.h"
#include "tier/marker.h"
#include "tier/pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BLOCK 512u    /* bytes: the unit of st_blocks */
#define STUB_BLOCKS 8 /* the most that a stub has */
#define PROC_PATH_MAX (64 + NAME_MAX)

struct walk {
	const struct scan *scan;
	struct text path; /* of what is looked at */
	size_t root;      /* bytes of it that are the tier's folder, with a '/' */
	dev_t device;
	int64_t now; /* seconds since 1970 */
};

void tally_add(struct tally *tally, uint64_t size, uint64_t space)
{
	tally->count++;
	tally->size += size;
	tally->space += space;
}

static void count(const struct walk *walk, enum policy_skip skip, const struct stat *stat)
{
	tally_add(&walk->scan->counts->skipped[skip], (uint64_t)stat->st_size,
		  (uint64_t)stat->st_blocks * BLOCK);
}

/* What can't be looked at stays, and is told. */
static void complain(const struct walk *walk, int error)
{
	autotext struct text name = { 0 };

	walk->scan->counts->skipped[POLICY_FAILED].count++;
	if (text_append_quoted(&name, walk->path.data, walk->path.size) == 0)
		log_error("%s: %s", text_string(&name), strerrordesc_np(error));
}

/* ---- files ---- */

static bool is_stub(int folder, const char *name, const struct stat *stat)
{
	char path[PROC_PATH_MAX];

	if (stat->st_blocks > STUB_BLOCKS)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder, name);
	return lgetxattr(path, MARKER_NAME, NULL, 0) >= 0;
}

static enum policy_skip judge(const struct walk *walk, int folder, const char *name,
			      const struct stat *stat, bool included)
{
	const struct config_tier *policy = walk->scan->policy;
	enum policy_skip skip;

	if (is_stub(folder, name, stat))
		return POLICY_STUB;
	skip = policy_judge(policy, stat, walk->now);
	if (skip != POLICY_TAKE)
		return skip;
	if (policy_excludes(policy, walk->path.data, false) ||
	    (!included && !policy_includes(policy, walk->path.data, false)))
		return POLICY_EXCLUDED;
	return pin_get_at(folder, name) ? POLICY_PINNED : POLICY_TAKE;
}

static int add_candidate(const struct walk *walk, const struct stat *stat,
			 struct error *err)
{
	const struct scan *scan = walk->scan;
	struct candidate candidate = {
		.rank = policy_rank(stat, walk->now),
		.size = (uint64_t)stat->st_size,
		.space = (uint64_t)stat->st_blocks * BLOCK,
		.inode = stat->st_nlink > 1 ? stat->st_ino : 0,
	};
	struct bytes key = { 0 };
	int r = key_from_path(walk->path.data + walk->root, &key, NULL);

	if (r == -EINVAL) {
		count(walk, POLICY_SPECIAL, stat);
		return 0;
	}
	if (r < 0)
		return error_set(err, r, "no memory for a path");
	candidate.key = key.data;
	candidate.key_size = key.size;
	r = candidate_table_add(scan->table, &candidate, err);
	free(key.data);
	if (r == 0)
		count(walk, POLICY_LINKED, stat);
	if (r == 1)
		tally_add(&scan->counts->eligible, candidate.size, candidate.space);
	return r < 0 ? r : 0;
}

static int look_at_file(const struct walk *walk, int folder, const char *name,
			const struct stat *stat, bool included, struct error *err)
{
	enum policy_skip skip = judge(walk, folder, name, stat, included);

	tally_add(&walk->scan->counts->seen, (uint64_t)stat->st_size,
		  (uint64_t)stat->st_blocks * BLOCK);
	if (skip == POLICY_TAKE)
		return add_candidate(walk, stat, err);
	count(walk, skip, stat);
	return 0;
}

/* ---- folders ---- */

static int walk_folder(struct walk *walk, int fd, bool included, struct error *err);

static int enter(struct walk *walk, int folder, const char *name, bool included,
		 struct error *err)
{
	const struct config_tier *policy = walk->scan->policy;
	autoclose int fd = -1;

	if (policy_excludes(policy, walk->path.data, true)) {
		walk->scan->counts->skipped[POLICY_EXCLUDED].count++;
		return 0;
	}
	fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		if (errno != ENOENT)
			complain(walk, errno);
		return 0;
	}
	if (pin_get_at(folder, name)) {
		walk->scan->counts->skipped[POLICY_PINNED].count++;
		return 0;
	}
	included = included || policy_includes(policy, walk->path.data, true);
	return walk_folder(walk, take_fd(&fd), included, err);
}

/* walk->path is that of the entry. */
static int look_at(struct walk *walk, int folder, const char *name, bool included,
		   struct error *err)
{
	struct stat stat;

	if (walk->path.size >= PATH_MAX) {
		walk->scan->counts->skipped[POLICY_SPECIAL].count++;
		return 0;
	}
	if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			complain(walk, errno);
		return 0;
	}
	if (stat.st_dev != walk->device)
		return 0;
	if (S_ISREG(stat.st_mode))
		return look_at_file(walk, folder, name, &stat, included, err);
	return S_ISDIR(stat.st_mode) ? enter(walk, folder, name, included, err) : 0;
}

static int check_cancel(const struct walk *walk, struct error *err)
{
	const atomic_bool *cancel = walk->scan->cancel;

	return cancel && atomic_load(cancel) ? error_set(err, -EINTR, "interrupted") : 0;
}

static int visit(struct walk *walk, int folder, const char *name, bool included,
		 struct error *err)
{
	size_t size = walk->path.size;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	r = check_cancel(walk, err);
	if (r < 0)
		return r;
	if (walk->path.size > 0 && walk->path.data[walk->path.size - 1] != '/')
		r = text_append_char(&walk->path, '/');
	if (r == 0)
		r = text_append(&walk->path, name);
	r = r < 0 ? error_set(err, r, "no memory for a path")
		  : look_at(walk, folder, name, included, err);
	text_truncate(&walk->path, size);
	return r;
}

/* Takes @fd over. */
static int walk_folder(struct walk *walk, int fd, bool included, struct error *err)
{
	DIR *folder = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!folder) {
		(void)close(fd);
		return error_set(err, -ENOMEM, "no memory to read a folder");
	}
	errno = 0;
	while (r == 0 && (entry = readdir(folder))) {
		r = visit(walk, dirfd(folder), entry->d_name, included, err);
		errno = 0;
	}
	if (r == 0 && errno)
		complain(walk, errno);
	(void)closedir(folder);
	return r;
}

int scan_run(const struct scan *scan, struct error *err)
{
	struct walk walk = { .scan = scan,
			     .now = clock_realtime_ns() / (int64_t)NS_PER_SECOND };
	autoclose int fd = open(scan->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat stat;
	bool included;
	int r;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", scan->folder);
	if (pin_get(fd)) {
		scan->counts->skipped[POLICY_PINNED].count++;
		return 0;
	}
	walk.device = stat.st_dev;
	walk.root = strcmp(scan->folder, "/") == 0 ? 1 : strlen(scan->folder) + 1;
	included = policy_includes(scan->policy, scan->folder, true);
	r = text_append(&walk.path, scan->folder);
	r = r < 0 ? error_set(err, r, "no memory for a path")
		  : walk_folder(&walk, take_fd(&fd), included, err);
	text_done(&walk.path);
	return r;
}
