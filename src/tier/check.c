/* SPDX-License-Identifier: MIT */
/* What is repaired, because nothing can be lost by it:
 *
 *   row, but no file                     the row goes: the file was deleted
 *   row and an empty file, no marker     the marker is set again
 *   marker and an empty file, no row     the row is made again, if the archive has a content
 *                                        of that hash and size
 *
 * An empty file here is one of the right size without blocks. One that has blocks was either
 * being recalled, which the next one who opens it ends, or written to while nobody guarded
 * it. Then nobody can tell what in it is whose; it stays closed, and `restore` has the
 * archive's version.
 */
#include "tier/check.h"

#include "archive/archive.h"
#include "base/clock.h"
#include "base/error.h"
#include "catalog/history.h"
#include "tier/handle.h"
#include "tier/marker.h"
#include "tier/marker_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS_MAX 8 /* of 512 bytes: an attribute that did not fit into the inode */

static void tell(const struct check *check, const char *path, const char *what,
		 bool repaired)
{
	check->finding(check->context, path ? path : "", what, repaired);
}

/* 0 it has, CATALOG_END it has not. */
static int find_content(const struct check *check, const struct hash *hash, uint64_t size,
			struct error *err)
{
	struct version_row row = { 0 };
	int r;

	if (!check->archive)
		return 0;
	r = catalog_find_content(archive_catalog(check->archive), hash, size, &row, err);
	version_row_done(&row);
	return r;
}

/* ---- rows ---- */

static bool is_empty(const struct stat *stat, uint64_t size)
{
	return (uint64_t)stat->st_size == size && stat->st_blocks <= BLOCKS_MAX;
}

/* The row first: as long as the marker is wrong, no recall can end it. */
static int repair_marker(const struct check *check, int fd, const struct stub_row *row,
			 struct error *err)
{
	const struct marker marker = { .id = row->id, .hash = row->hash };
	struct stub_row settled = *row;
	int r;

	settled.problem = NULL;
	r = stub_table_put(check->table, &settled, err);
	if (r < 0)
		return r;
	r = marker_set_path_fd(fd, &marker);
	if (r == 0 && syncfs(check->root_fd) < 0)
		r = -errno;
	return r < 0 ? error_set_errno(err, r, "'%s': marker", row->path) : 0;
}

static int set_marker(const struct check *check, int fd, const struct stub_row *row,
		      const char *what, struct error *err)
{
	int r = check->repair ? repair_marker(check, fd, row, err) : 0;

	if (r == 0)
		tell(check, row->path, what, check->repair);
	return r;
}

static int check_marker(const struct check *check, int fd, const struct stub_row *row,
			struct error *err)
{
	struct marker marker;
	struct stat stat;
	int r = marker_get_path_fd(fd, &marker);

	if (r == 0 && marker_matches(&marker, row)) {
		if (row->problem)
			tell(check, row->path, row->problem, false);
		return 0;
	}
	if (r < 0 && r != -ENODATA && r != -EBADMSG)
		return error_set_errno(err, r, "'%s': marker", row->path);
	/* Looked at after the marker: a recall that has just removed it has filled the
	 * file before. */
	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", row->path);
	if (is_empty(&stat, row->size))
		return set_marker(check, fd, row,
				  r == -ENODATA ? "its marker was gone"
						: "its marker was another one",
				  err);
	tell(check, row->path, "its marker is wrong, and it has content of its own",
	     false);
	return 0;
}

static int check_file(const struct check *check, int fd, const struct stub_row *row,
		      struct error *err)
{
	struct stat stat;
	int r;

	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", row->path);
	if (row->state == STUB_PREPARED)
		return 0; /* the daemon does that, or takes it back */
	if ((uint64_t)stat.st_size != row->size)
		tell(check, row->path, "its size has changed while it was not guarded",
		     false);
	else if (!is_empty(&stat, row->size))
		tell(check, row->path, "it has content of its own: try to read it",
		     false);
	r = check_marker(check, fd, row, err);
	if (r == 0)
		r = find_content(check, &row->hash, row->size, err);
	if (r == CATALOG_END)
		tell(check, row->path, "the archive does not have its content", false);
	return r < 0 ? r : 0;
}

static int check_row(const struct check *check, const struct stub_row *row,
		     struct error *err)
{
	autoclose int fd = -1;
	int r;

	r = tier_handle_open(check->root_fd, row->handle, row->handle_size, O_PATH, &fd);
	if (r == -ESTALE) {
		if (check->repair)
			r = stub_table_remove(check->table, row, err);
		tell(check, row->path, "it was deleted", check->repair);
		return check->repair ? r : 0;
	}
	if (r < 0)
		return error_set_errno(err, r, "'%s'", row->path ? row->path : "");
	return check_file(check, fd, row, err);
}

static int check_rows(const struct check *check, struct error *err)
{
	uint8_t handle[STUB_HANDLE_MAX];
	struct stub_row row = { 0 };
	size_t size = 0;
	int r;

	while ((r = stub_table_next(check->table, handle, size, &row, err)) == 0) {
		memcpy(handle, row.handle, row.handle_size);
		size = row.handle_size;
		r = check_row(check, &row, err);
		stub_row_done(&row);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* ---- markers ---- */

static int make_row(const struct check *check, const struct marker *marker,
		    const struct stat *stat, struct stub_row *row, const char *path,
		    struct error *err)
{
	row->state = STUB_PUNCHED;
	row->id = marker->id;
	row->size = (uint64_t)stat->st_size;
	row->hash = marker->hash;
	row->time = clock_realtime_ns();
	archive_id(check->archive, &row->archive);
	row->path = strdup(path);
	return row->path ? stub_table_put(check->table, row, err)
			 : error_set(err, -ENOMEM, "no memory for a path");
}

/* A marker without a row. */
static int check_unknown(const struct check *check, int fd, const struct marker *marker,
			 struct stub_row *row, const char *path, struct error *err)
{
	struct stat stat;
	bool known;
	int r = 0;

	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", path);
	known = marker && check->archive && is_empty(&stat, (uint64_t)stat.st_size);
	if (known) {
		r = find_content(check, &marker->hash, (uint64_t)stat.st_size, err);
		known = r == 0;
	}
	if (r < 0)
		return r;
	r = known && check->repair ? make_row(check, marker, &stat, row, path, err) : 0;
	tell(check, path, "it has the marker of a stub, and the table does not know it",
	     known && check->repair && r == 0);
	return r;
}

static int check_marked(void *context, int fd, const struct marker *marker,
			const char *path, struct error *err)
{
	const struct check *check = context;
	struct stub_row row = { 0 };
	uint8_t handle[STUB_HANDLE_MAX];
	size_t size;
	int r;

	r = tier_handle_get(fd, handle, &size, err);
	if (r == 0)
		r = stub_table_get(check->table, handle, size, &row, err);
	if (r == CATALOG_END) {
		memcpy(row.handle, handle, size);
		row.handle_size = size;
		r = check_unknown(check, fd, marker, &row, path, err);
	}
	stub_row_done(&row);
	return r;
}

int check_run(const struct check *check, struct error *err)
{
	struct check copy = *check;
	int r = check->first ? check_rows(check, err) : 0;

	return r < 0 ? r
		     : marker_scan(check->root_fd, check->folder, check_marked, &copy,
				   err);
}
