/* SPDX-License-Identifier: MIT */
/* What is repaired, because nothing can be lost by it:
 *
 *   row, but no file                     the row goes: the file was deleted, if its path
 *                                        confirms that (an inode that can't be read looks
 *                                        the same by its handle)
 *   row and an empty file, no marker     the marker is set again
 *   marker and an empty file, no row     the row is made again, if the archive has a content
 *                                        of that hash and size
 *
 * An empty file here is one of the right size without blocks. One that has blocks was either
 * being recalled, which the next one who opens it ends, or written to while nobody guarded
 * it. Then nobody can tell what in it is whose; it stays closed, and `restore` has the
 * archive's version.
 *
 * Row, marker and file are read one after the other, while the daemon may be at work on them.
 * So what looks wrong is looked at again with the file claimed (tier/control.h), and repaired
 * while that lasts.
 */
#include "tier/check.h"

#include "archive/archive.h"
#include "base/clock.h"
#include "base/error.h"
#include "catalog/history.h"
#include "tier/handle.h"
#include "tier/marker.h"
#include "tier/marker_scan.h"
#include "tier/tier_list.h"

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

#define FINDINGS_MAX 3u

/* What is wrong with a stub. */
struct findings {
	const char *texts[FINDINGS_MAX]; /* the last one is of the marker, if that is */
	size_t count;
	bool set_marker; /* it can be repaired */
};

static void find(struct findings *findings, const char *text)
{
	findings->texts[findings->count++] = text;
}

static int judge_marker(int fd, const struct stub_row *row, struct findings *findings,
			struct error *err)
{
	struct marker marker;
	struct stat stat;
	int r = marker_get_path_fd(fd, &marker);

	if (r == 0 && marker_matches(&marker, row)) {
		if (row->problem)
			find(findings, row->problem);
		return 0;
	}
	if (r < 0 && r != -ENODATA && r != -EBADMSG)
		return error_set_errno(err, r, "'%s': marker", row->path);
	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", row->path);
	findings->set_marker = is_empty(&stat, row->size);
	if (!findings->set_marker)
		find(findings, "its marker is wrong, and it has content of its own");
	else
		find(findings, r == -ENODATA ? "its marker was gone"
					     : "its marker was another one");
	return 0;
}

static int judge_file(const struct check *check, int fd, const struct stub_row *row,
		      struct findings *findings, struct error *err)
{
	struct stat stat;
	int r;

	*findings = (struct findings){ 0 };
	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", row->path);
	if (row->state == STUB_PREPARED)
		return 0; /* the daemon does that, or takes it back */
	r = find_content(check, &row->hash, row->size, err);
	if (r < 0)
		return r;
	if (r == CATALOG_END)
		find(findings, "the archive does not have its content");
	if ((uint64_t)stat.st_size != row->size)
		find(findings, "its size has changed while it was not guarded");
	else if (!is_empty(&stat, row->size))
		find(findings, "it has content of its own: try to read it");
	return judge_marker(fd, row, findings, err);
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

static bool begin_claim(const struct check *check, int fd, const struct stat *stat)
{
	return !check->claims || check->claims->begin(check->claims->context, fd, stat);
}

static void end_claim(const struct check *check)
{
	if (check->claims)
		check->claims->end(check->claims->context);
}

/* Nobody else changes it now. What was seen before may have been a recall. */
static int settle_file(const struct check *check, int fd, const struct stub_row *seen,
		       struct error *err)
{
	struct findings findings = { 0 };
	struct stub_row row = { 0 };
	bool repaired = false;
	int r;

	r = stub_table_get(check->table, seen->handle, seen->handle_size, &row, err);
	if (r == 0)
		r = judge_file(check, fd, &row, &findings, err);
	if (r == 0 && findings.set_marker && check->repair) {
		r = repair_marker(check, fd, &row, err);
		repaired = r == 0;
	}
	for (size_t i = 0; i < findings.count && r == 0; i++)
		tell(check, row.path, findings.texts[i],
		     repaired && i + 1 == findings.count);
	stub_row_done(&row);
	return r < 0 ? r : 0;
}

static int check_file(const struct check *check, int fd, const struct stub_row *row,
		      struct error *err)
{
	struct findings findings;
	struct stat stat;
	int r = judge_file(check, fd, row, &findings, err);

	if (r < 0 || findings.count == 0)
		return r;
	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", row->path);
	if (!begin_claim(check, fd, &stat))
		return 0;
	r = settle_file(check, fd, row, err);
	end_claim(check);
	return r;
}

static bool was_deleted(const struct check *check, const struct stub_row *row)
{
	const char *path = row->path;

	/* What is in another tier may be covered, and is not deleted then. */
	if (path)
		(void)tier_path_below(path, check->folder, &path);
	return tier_handle_deleted(row->handle, row->handle_size, check->root_fd, path);
}

static int check_row(const struct check *check, const struct stub_row *row,
		     struct error *err)
{
	autoclose int fd = -1;
	int r;

	r = tier_handle_open(check->root_fd, row->handle, row->handle_size, O_PATH, &fd);
	if (r == -ESTALE && was_deleted(check, row)) {
		r = check->repair ? stub_table_remove(check->table, row, err) : 0;
		tell(check, row->path, "it was deleted", check->repair && r == 0);
		return r;
	}
	if (r == -ESTALE) {
		tell(check, row->path, "its inode can't be read: see fsck(8)", false);
		return 0;
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

/* As settle_file(). */
static int settle_marked(const struct check *check, int fd, const uint8_t *handle,
			 size_t size, const char *path, struct error *err)
{
	struct stub_row row = { .handle_size = size };
	struct stub_row known = { 0 };
	struct marker marker;
	int found = marker_get_path_fd(fd, &marker);
	int r;

	if (found < 0 && found != -EBADMSG)
		return found == -ENODATA ? 0 : error_set_errno(err, found, "'%s'", path);
	r = stub_table_get(check->table, handle, size, &known, err);
	stub_row_done(&known);
	if (r != CATALOG_END)
		return r;
	memcpy(row.handle, handle, size);
	r = check_unknown(check, fd, found < 0 ? NULL : &marker, &row, path, err);
	stub_row_done(&row);
	return r;
}

static int check_marked(void *context, int fd, const struct marker *marker,
			const char *path, struct error *err)
{
	const struct check *check = context;
	struct stub_row row = { 0 };
	uint8_t handle[STUB_HANDLE_MAX];
	struct stat stat;
	size_t size;
	int r;

	(void)marker;
	r = tier_handle_get(fd, handle, &size, err);
	if (r == 0)
		r = stub_table_get(check->table, handle, size, &row, err);
	stub_row_done(&row);
	if (r != CATALOG_END)
		return r;
	if (fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "'%s'", path);
	if (!begin_claim(check, fd, &stat))
		return 0;
	r = settle_marked(check, fd, handle, size, path, err);
	end_claim(check);
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
