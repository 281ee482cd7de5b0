/* SPDX-License-Identifier: MIT */
#include "archive/own_folders.h"

#include "archive/archive.h"
#include "base/cleanup.h"

#include <fcntl.h>

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

void own_folders_of(const struct archive *archive, struct own_folders *own_out)
{
	/* Of open descriptors, this can't fail. */
	(void)fstat(archive_folder(archive), &own_out->archive);
	(void)fstat(archive_volume_folder(archive), &own_out->volumes);
}

bool own_folders_has(const struct own_folders *own, const struct stat *stat)
{
	return is_same(stat, &own->archive) || is_same(stat, &own->volumes);
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

		if (is_same(&st, &own->archive))
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
