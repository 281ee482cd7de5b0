/* SPDX-License-Identifier: MIT */
/* A file that never had a name can't have been opened by anybody but who made it. So it needs
 * no lease and no second look: the mark, the marker, and the row, before it gets a name.
 *
 * If the command ends before that, the file and its mark go, and a row is left of a file that
 * does not exist, which the next start or `tier check --repair` removes.
 */
#include "tier/adoption.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/random.h"
#include "catalog/stub_table.h"
#include "tier/control.h"
#include "tier/group.h"
#include "tier/handle.h"
#include "tier/marker.h"
#include "tier/tier.h"
#include "tier/work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROWS_MAX 1024u

static int check_file(int fd, const struct control_request *request, struct error *err)
{
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return error_set(err, -EMFILE, "no file to adopt");
	if (!S_ISREG(stat.st_mode) || stat.st_nlink != 0 || stat.st_blocks != 0 ||
	    stat.st_size <= 0 || (uint64_t)stat.st_size != request->size)
		return error_set(err, -EINVAL, "no file that can be adopted");
	return 0;
}

static int find_tier(struct adoption *adoption, const struct work *work, int fd,
		     const struct control_request *request, struct error *err)
{
	struct tier *tier = tiers_of_file(work->tiers, fd);

	if (!tier || (adoption->tier && adoption->tier != tier))
		return error_set(err, -EINVAL,
				 "'blockframe tier run' does not know this tier yet: "
				 "start it again");
	if (!tiers_with_archive(work->tiers, &request->archive))
		return error_set(err, -EINVAL,
				 "no tier that 'blockframe tier run' knows has this "
				 "archive");
	adoption->tier = tier;
	return 0;
}

static int make_row(int fd, const struct control_request *request, struct stub_row *row,
		    struct error *err)
{
	int r;

	row->state = STUB_PUNCHED;
	row->size = request->size;
	row->hash = request->hash;
	row->archive = request->archive;
	row->time = clock_realtime_ns();
	r = random_bytes(&row->id, sizeof(row->id), err);
	if (r == 0)
		r = tier_handle_get(fd, row->handle, &row->handle_size, err);
	if (r == 0 && !(row->path = strdup(request->path)))
		r = error_set(err, -ENOMEM, "no memory for a path");
	return r;
}

static int set_marks(const struct work *work, int fd, const struct stub_row *row,
		     struct error *err)
{
	const struct marker marker = { .id = row->id, .hash = row->hash };
	int r = group_mark(work->group, fd, err);

	if (r == 0) {
		r = marker_set_path_fd(fd, &marker);
		if (r < 0)
			(void)error_set_errno(err, r, "set the marker");
	}
	crash_point("tier.adopt.marked");
	return r;
}

static int make_room(struct adoption *adoption, struct error *err)
{
	struct stub_row *rows;
	size_t capacity;

	if (adoption->count < adoption->capacity)
		return 0;
	capacity = adoption->capacity ? 2 * adoption->capacity : 64;
	if (capacity > ROWS_MAX)
		return error_set(err, -E2BIG, "too many files at a time");
	rows = reallocarray(adoption->rows, capacity, sizeof(*rows));
	if (!rows)
		return error_set(err, -ENOMEM, "no memory for stubs");
	adoption->rows = rows;
	adoption->capacity = capacity;
	return 0;
}

static int take(struct adoption *adoption, const struct work *work, int fd,
		const struct control_request *request, struct error *err)
{
	struct stub_row row = { 0 };
	int r;

	r = check_file(fd, request, err);
	if (r == 0)
		r = find_tier(adoption, work, fd, request, err);
	if (r == 0)
		r = make_room(adoption, err);
	if (r == 0)
		r = make_row(fd, request, &row, err);
	if (r == 0)
		r = set_marks(work, fd, &row, err);
	if (r < 0)
		stub_row_done(&row);
	else
		adoption->rows[adoption->count++] = row;
	return r;
}

void adoption_take(struct adoption *adoption, const struct work *work, int fd,
		   const struct control_request *request)
{
	if (adoption->r == 0)
		adoption->r = take(adoption, work, fd, request, &adoption->err);
}

int adoption_settle(struct adoption *adoption, struct error *err)
{
	int r = adoption->r;

	if (r < 0)
		(void)error_set(err, r, "%s", adoption->err.text);
	else if (adoption->count > 0)
		r = stub_table_put_all(adoption->tier->table, adoption->rows,
				       adoption->count, err);
	crash_point("tier.adopt.settled");
	adoption_done(adoption);
	return r;
}

void adoption_done(struct adoption *adoption)
{
	for (size_t i = 0; i < adoption->count; i++)
		stub_row_done(&adoption->rows[i]);
	free(adoption->rows);
	*adoption = (struct adoption){ 0 };
}
