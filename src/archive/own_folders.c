/* SPDX-License-Identifier: MIT */
#include "archive/own_folders.h"

#include "archive/archive.h"
#include "base/cleanup.h"

#include <fcntl.h>

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static struct own_folder folder_of(const struct stat *stat)
{
	return (struct own_folder){ stat->st_dev, stat->st_ino };
}

static bool is_folder(const struct own_folder *folder, const struct stat *stat)
{
	return folder->inode == stat->st_ino && folder->device == stat->st_dev;
}

void own_folders_of(const struct archive *archive, struct own_folders *own_out)
{
	const struct places *places = archive_places(archive);
	struct own_folders own = { .count = 1 };
	struct stat st = { 0 };

	(void)fstat(archive_folder(archive), &st); /* of a descriptor: can't fail */
	own.items[0] = folder_of(&st);
	for (size_t i = 0; places && i < places_count(places); i++)
		if (places_stat(places, i, &st) == 0)
			own.items[own.count++] = folder_of(&st);
	*own_out = own;
}

bool own_folders_has(const struct own_folders *own, const struct stat *stat)
{
	for (size_t i = 0; i < own->count; i++)
		if (is_folder(&own->items[i], stat))
			return true;
	return false;
}

/* Upwards, until a folder is its own parent. */
bool own_folders_hold(const struct own_folders *own, int fd)
{
	autoclose int folder = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct stat st, below = { 0 };

	if (folder < 0 || fstat(folder, &st) < 0)
		return false;
	while (!is_same(&st, &below)) {
		int parent;

		if (is_folder(&own->items[0], &st))
			return true;
		parent = openat(folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0)
			return false;
		(void)close(folder);
		folder = parent;
		below = st;
		if (fstat(folder, &st) < 0)
			return false;
	}
	return false;
}
