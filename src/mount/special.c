/* SPDX-License-Identifier: MIT */
#include "mount/special.h"

#include "archive/head.h"
#include "archive/read_health.h"
#include "base/number.h"
#include "base/text.h"
#include "catalog/history.h"
#include "mount/file_system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is(const struct bytes *name, const char *text)
{
	return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

static struct inode special(enum special which)
{
	return (struct inode){ .kind = INODE_SPECIAL, .node = which };
}

/* A number names the commit's tree, the beginning of a hash a symlink to that. */
static int find_commit(struct request *request, const char *text, struct inode *inode_out)
{
	struct inode inode = { .epoch = backing_epoch(request->backing) };
	struct commit_row commit = { 0 };
	uint64_t number;
	int r = CATALOG_END;

	if (number_parse_u64(text, &number) == 0)
		r = catalog_get_commit(request->catalog, number, &commit, &request->err);
	if (r == 0) {
		inode.kind = INODE_COMMIT;
	} else if (r == CATALOG_END) {
		inode.kind = INODE_SPECIAL;
		inode.node = SPECIAL_COMMIT_HASH;
		r = catalog_find_commit(request->catalog, text, &commit, &request->err);
	}
	number = commit.sequence;
	commit_row_done(&commit);
	if (r == CATALOG_END || r == -EINVAL)
		return -ENOENT;
	if (r < 0)
		return r;
	if (number > INODE_NUMBER_MAX)
		return -EOVERFLOW;
	inode.number = (uint32_t)number;
	*inode_out = inode;
	return 0;
}

static int lookup_commit(struct request *request, const struct bytes *name,
			 struct inode *inode_out)
{
	char text[HASH_HEX_SIZE] = "";

	if (name->size >= sizeof(text) || memchr(name->data, 0, name->size))
		return -ENOENT;
	memcpy(text, name->data, name->size);
	return find_commit(request, text, inode_out);
}

int special_lookup(struct request *request, const struct inode *folder,
		   const struct bytes *name, struct inode *inode_out)
{
	if (folder->kind == INODE_LIVE && folder->node == 0 && is(name, SPECIAL_NAME)) {
		*inode_out = special(SPECIAL_FOLDER);
		return 0;
	}
	if (folder->kind != INODE_SPECIAL)
		return -ENOENT;
	if (folder->node == SPECIAL_COMMITS)
		return lookup_commit(request, name, inode_out);
	if (folder->node != SPECIAL_FOLDER)
		return -ENOTDIR;
	if (is(name, "commits"))
		*inode_out = special(SPECIAL_COMMITS);
	else if (is(name, "health"))
		*inode_out = special(SPECIAL_HEALTH);
	else if (is(name, "versions"))
		*inode_out = (struct inode){ .epoch = backing_epoch(request->backing),
					     .kind = INODE_VERSIONS };
	else
		return -ENOENT;
	return 0;
}

void special_parent(const struct inode *inode, struct inode *parent_out)
{
	if (inode->kind == INODE_COMMIT)
		*parent_out = special(SPECIAL_COMMITS);
	else if (inode->kind == INODE_SPECIAL && inode->node == SPECIAL_FOLDER)
		*parent_out = (struct inode){ .kind = INODE_LIVE };
	else
		*parent_out = special(SPECIAL_FOLDER);
}

void special_target(const struct inode *inode, char target_out[SPECIAL_TARGET_MAX])
{
	(void)snprintf(target_out, SPECIAL_TARGET_MAX, "%" PRIu32, inode->number);
}

/* They are as old as the last commit. */
static int last_commit_time(struct request *request, struct timespec *time_out)
{
	struct commit_row commit = { 0 };
	struct head head = { 0 };
	int r;

	r = catalog_get_commit(request->catalog, VERSION_CURRENT, &commit, &request->err);
	if (r == 0)
		r = head_decode(commit.head, strlen(commit.head), &head, &request->err);
	if (r == 0)
		*time_out = (struct timespec){ .tv_sec = head.time.seconds,
					       .tv_nsec = head.time.nanoseconds };
	head_done(&head);
	commit_row_done(&commit);
	return r < 0 ? r : 0;
}

int special_stat(struct request *request, const struct inode *inode,
		 struct stat *stat_out)
{
	const struct mount_masks *masks = &request->fs->masks;
	struct stat stat = { .st_nlink = 1, .st_blksize = 4096 };
	char target[SPECIAL_TARGET_MAX];
	uint64_t number;
	int r;

	r = inode_encode(inode, &number);
	if (r == 0)
		r = last_commit_time(request, &stat.st_mtim);
	if (r < 0)
		return r;
	stat.st_ino = number;
	stat.st_ctim = stat.st_mtim;
	stat.st_atim = stat.st_mtim;
	stat.st_uid = masks->has_uid ? masks->uid : 0;
	stat.st_gid = masks->has_gid ? masks->gid : 0;
	switch ((enum special)inode->node) {
	case SPECIAL_FOLDER:
	case SPECIAL_COMMITS:
		stat.st_mode = S_IFDIR | 0555;
		stat.st_nlink = 2;
		break;
	case SPECIAL_HEALTH:
		stat.st_mode = S_IFREG | 0444;
		break;
	case SPECIAL_COMMIT_HASH:
		special_target(inode, target);
		stat.st_mode = S_IFLNK | 0777;
		stat.st_size = (off_t)strlen(target);
		break;
	default:
		return -ESTALE;
	}
	*stat_out = stat;
	return 0;
}

int special_health(struct request *request, char **text_out, size_t *size_out)
{
	autotext struct text text = { 0 };
	struct commit_row commit = { 0 };
	int r;

	r = catalog_get_commit(request->catalog, request->fs->at, &commit, &request->err);
	if (r >= 0)
		r = read_health_text(request->fs->health, request->backing,
				     commit.sequence, &text);
	commit_row_done(&commit);
	if (r < 0)
		return r;
	*size_out = text.size;
	*text_out = text_take(&text);
	return *text_out ? 0 : -ENOMEM;
}
