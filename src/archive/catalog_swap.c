/* SPDX-License-Identifier: MIT */
/*     catalog.db.rebuild written, closed and flushed     the old catalog is in use
 *     renamed to catalog.db.ready                        likewise; opening ends the swap
 *     old catalog removed, then its log                  likewise
 *     catalog.db.ready renamed to catalog.db             done
 *
 * The old one has to go before the new one comes, and its file before its write-ahead log:
 * SQLite would play a log that it finds beside a file into that file, and a file whose log
 * is lost may be half of two states.
 */
#include "archive/catalog_swap.h"

#include "archive/archive.h"
#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define READY_FILE ARCHIVE_CATALOG_FILE ".ready"

static int remove_file(int folder_fd, const char *name, struct error *err)
{
	if (unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT)
		return error_set_errno(err, -errno, "'%s'", name);
	return 0;
}

static int rename_file(int folder_fd, const char *from, const char *to, struct error *err)
{
	if (renameat(folder_fd, from, folder_fd, to) < 0)
		return error_set_errno(err, -errno, "'%s'", from);
	return folder_sync(folder_fd, err);
}

/* The closed catalog must be one file, and durable. */
static int sync_new(int folder_fd, struct error *err)
{
	autoclose int fd = openat(folder_fd, CATALOG_NEW_FILE, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fsync(fd) < 0)
		return error_set_errno(err, -errno, "'%s'", CATALOG_NEW_FILE);
	if (fstatat(folder_fd, CATALOG_NEW_FILE "-wal", &st, 0) == 0 && st.st_size > 0)
		return error_set(err, -EIO, "'%s' could not be closed", CATALOG_NEW_FILE);
	return remove_file(folder_fd, CATALOG_NEW_FILE "-shm", err);
}

bool catalog_swap_is_pending(int folder_fd)
{
	struct stat st;

	return fstatat(folder_fd, READY_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int catalog_swap_finish(int folder_fd, struct error *err)
{
	static const char *const old[] = {
		ARCHIVE_CATALOG_FILE,
		ARCHIVE_CATALOG_FILE "-wal",
		ARCHIVE_CATALOG_FILE "-shm",
	};
	int r;

	for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++) {
		r = remove_file(folder_fd, old[i], err);
		if (r == 0)
			r = folder_sync(folder_fd, err);
		if (r < 0)
			return r;
		crash_point("archive.rebuild.removed");
	}
	r = rename_file(folder_fd, READY_FILE, ARCHIVE_CATALOG_FILE, err);
	crash_point("archive.rebuild.renamed");
	return r;
}

int catalog_swap(int folder_fd, struct error *err)
{
	int r;

	r = sync_new(folder_fd, err);
	if (r < 0)
		return r;
	crash_point("archive.rebuild.written");
	r = rename_file(folder_fd, CATALOG_NEW_FILE, READY_FILE, err);
	if (r < 0)
		return r;
	crash_point("archive.rebuild.ready");
	return catalog_swap_finish(folder_fd, err);
}
