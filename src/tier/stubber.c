/* SPDX-License-Identifier: MIT */
/* The steps:
 *
 *   1. the archive's current version is in as many places as the archive wants, and is read
 *      back whole, and verified
 *   2. the mark: from here on who opens the file waits for an answer of ours
 *   3. a write lease, which is only given if nobody else has the file open or mapped; it is
 *      given back at once, since it would hold the guard up (reading an event opens the
 *      file), and because after it nobody can have got in unasked
 *   4. the file is hashed: is it what was read back?
 *   5. a row in the table, PREPARED, and the marker; both durable
 *   6. the lease again, and size and times as in 4: nobody is at it, or waits for it
 *   7. the row is PUNCHED, durably; from here on there is no way back but a recall
 *   8. the content goes, the times are set back; durable; the lease is given back
 *
 * Somebody who comes in 2 to 5 ends it (the watch). The lease before the mark would not do:
 * who waits for the lease was let in already, and would read zeroes.
 */
#include "tier/stubber.h"

#include "archive/backing.h"
#include "archive/open_file.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/random.h"
#include "catalog/history.h"
#include "catalog/stub_table.h"
#include "tier/group.h"
#include "tier/handle.h"
#include "tier/kept_times.h"
#include "tier/marker.h"
#include "tier/object.h"
#include "tier/obstacle.h"
#include "tier/recall.h"
#include "tier/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct stubber {
	struct tier *tier;
	int group;
	int fd;
	struct stat before;
	struct stub_row row;
	const struct object_watch *watch;
};

/* ---- opening ---- */

int stubber_open(const struct tier *tier, const char *rest, int *fd_out,
		 struct error *err)
{
	struct open_how how = {
		.flags = O_RDWR | O_NOATIME | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	autoclose int fd =
		(int)syscall(SYS_openat2, tier->root_fd, rest, &how, sizeof(how));

	if (fd < 0)
		return error_set_errno(err, -errno, "open");
	if (obstacle_find(fd, err) != POLICY_TAKE)
		return -EINVAL;
	*fd_out = take_fd(&fd);
	return 0;
}

/* ---- the archive ---- */

static int current_version(struct tier *tier, const char *path, struct version_row *row,
			   struct error *err)
{
	struct bytes key = { 0 };
	struct catalog *catalog;
	int r;

	r = key_from_path(path, &key, err);
	if (r < 0)
		return r;
	r = backing_take_catalog(tier->backing, &catalog, err);
	if (r == 0) {
		r = catalog_get_version(catalog, key.data, key.size, VERSION_CURRENT, row,
					err);
		backing_give_catalog(tier->backing, catalog);
	}
	free(key.data);
	if (r == CATALOG_END)
		return error_set(err, -ESTALE, "the archive does not have it");
	return r;
}

static int fill_row(struct stubber *stubber, const char *key, struct error *err)
{
	struct stub_row *row = &stubber->row;
	struct version_row version = { 0 };
	int r;

	r = current_version(stubber->tier, key, &version, err);
	if (r < 0)
		return r;
	row->state = STUB_PREPARED;
	row->size = version.size;
	row->hash = version.hash;
	row->archive = stubber->tier->archive_id;
	row->time = clock_realtime_ns();
	if (version.type != ENTRY_FILE ||
	    version.size != (uint64_t)stubber->before.st_size)
		r = error_set(err, -ESTALE, "the archive has another version");
	version_row_done(&version);
	if (r == 0)
		r = random_bytes(&row->id, sizeof(row->id), err);
	if (r == 0)
		r = tier_handle_get(stubber->fd, row->handle, &row->handle_size, err);
	return r;
}

static int read_back(struct stubber *stubber, struct error *err)
{
	autoptr(open_file) object = NULL;
	int r;

	r = object_check_copies(stubber->tier, &stubber->row.hash, stubber->row.size,
				err);
	if (r == 0)
		r = object_open(stubber->tier, &stubber->row.hash, stubber->row.size,
				&object, err);
	if (r == 0)
		r = object_verify(object, &stubber->row.hash, stubber->watch, err);
	return r;
}

/* ---- the file ---- */

static int lease(const struct stubber *stubber, int type, struct error *err)
{
	if (fcntl(stubber->fd, F_SETLEASE, type) == 0)
		return 0;
	if (errno == EAGAIN)
		return error_set(err, -EBUSY, "it is in use");
	return error_set_errno(err, -errno, "lease");
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int check_unchanged(const struct stubber *stubber, struct error *err)
{
	struct stat now;

	if (fstat(stubber->fd, &now) < 0)
		return error_set_errno(err, -errno, "look again");
	if (now.st_size != stubber->before.st_size ||
	    !same_time(&now.st_mtim, &stubber->before.st_mtim))
		return error_set(err, -EBUSY, "it was changed");
	return 0;
}

static int compare_with_archive(const struct stubber *stubber, struct error *err)
{
	struct hash hash;
	int r;

	r = lease(stubber, F_WRLCK, err);
	if (r == 0)
		r = lease(stubber, F_UNLCK, err);
	if (r == 0)
		r = object_hash_file(stubber->fd, stubber->row.size, stubber->watch,
				     &hash, err);
	if (r < 0)
		return r;
	if (!hash_equal(&hash, &stubber->row.hash))
		return error_set(err, -ESTALE, "the archive has another version");
	return 0;
}

/* Under the lease. If it was broken meanwhile, nobody is in yet: the breaker waits for it. */
static int punch(struct stubber *stubber, struct error *err)
{
	struct kept_times times;
	int r;

	kept_times_begin(&times, &stubber->before);
	r = check_unchanged(stubber, err);
	if (r == 0 && fcntl(stubber->fd, F_GETLEASE) != F_WRLCK)
		r = error_set(err, -EBUSY, "it is in use");
	if (r < 0)
		return r;
	stubber->row.state = STUB_PUNCHED;
	r = stub_table_put(stubber->tier->table, &stubber->row, err);
	if (r < 0)
		return r;
	crash_point("tier.stub.committed");
	r = recall_punch(stubber->fd, stubber->row.size, &times);
	crash_point("tier.stub.punched");
	return r < 0 ? error_set_errno(err, r, "punch") : 0;
}

static int prepare_and_punch(struct stubber *stubber, struct error *err)
{
	const struct marker marker = { .id = stubber->row.id, .hash = stubber->row.hash };
	int r;

	r = stub_table_put(stubber->tier->table, &stubber->row, err);
	if (r < 0)
		return r;
	crash_point("tier.stub.prepared");
	r = marker_set(stubber->fd, &marker);
	if (r < 0)
		(void)error_set_errno(err, r, "set the marker");
	crash_point("tier.stub.marked");
	if (r == 0)
		r = lease(stubber, F_WRLCK, err);
	if (r == 0) {
		r = punch(stubber, err);
		(void)lease(stubber, F_UNLCK, NULL);
	}
	/* A stub whose punching failed is one all the same: recalls put that right. */
	if (r < 0 && stubber->row.state == STUB_PREPARED)
		(void)recall_cancel(stubber->tier, stubber->group, stubber->fd,
				    &stubber->row, NULL);
	return r;
}

/* With the mark set. */
static int make_stub(struct stubber *stubber, struct error *err)
{
	int r;

	r = compare_with_archive(stubber, err);
	if (r == 0)
		r = prepare_and_punch(stubber, err);
	if (r < 0 && stubber->row.state == STUB_PREPARED)
		(void)group_unmark(stubber->group, stubber->fd, NULL);
	return r;
}

static int check_new(const struct stubber *stubber, struct error *err)
{
	struct stub_row row = { 0 };
	struct marker marker;
	int r;

	r = stub_table_get(stubber->tier->table, stubber->row.handle,
			   stubber->row.handle_size, &row, err);
	stub_row_done(&row);
	if (r < 0)
		return r;
	if (r == 0 || marker_get(stubber->fd, &marker) != -ENODATA)
		return error_set(err, -EALREADY, "it is a stub");
	return 0;
}

int stubber_run(struct tier *tier, int group, int fd, const char *key, const char *path,
		const struct object_watch *watch, struct error *err)
{
	struct stubber stubber = {
		.tier = tier, .group = group, .fd = fd, .watch = watch
	};
	int r;

	if (fstat(fd, &stubber.before) < 0)
		return error_set_errno(err, -errno, "look");
	stubber.row.path = strdup(path);
	r = stubber.row.path ? fill_row(&stubber, key, err)
			     : error_set(err, -ENOMEM, "no memory for a path");
	if (r == 0)
		r = check_new(&stubber, err);
	if (r == 0)
		r = read_back(&stubber, err);
	if (r == 0)
		r = group_mark(group, fd, err);
	if (r == 0)
		r = make_stub(&stubber, err);
	stub_row_done(&stubber.row);
	return r;
}
