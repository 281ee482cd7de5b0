/* SPDX-License-Identifier: MIT */
/* By handle a stub is found wherever it was moved. Meanwhile a scan looks at the markers of all
 * files in the tiers' folders, without opening them; a stub that the table does not know is
 * marked as well, and whoever opens it gets an error instead of zeroes. Most are marked twice,
 * which is cheaper than to find out which one the table knows.
 */
#include "tier/marking.h"

#include "base/error.h"
#include "catalog/stub_table.h"
#include "tier/group.h"
#include "tier/handle.h"
#include "tier/marker.h"
#include "tier/marker_scan.h"
#include "tier/recall.h"
#include "tier/tier.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

/* ---- by the table ---- */

static int take_back(struct tier *tier, int group, const struct stub_row *row,
		     struct error *err)
{
	autoclose int fd = -1;
	int r;

	r = tier_handle_open(tier->root_fd, row->handle, row->handle_size,
			     O_RDWR | O_NOATIME, &fd);
	if (r < 0)
		return error_set_errno(err, r, "open");
	return recall_cancel(tier, group, fd, row, err);
}

/* Its row stays all the same, until `tier check --repair`: an older state of the file system
 * may come back, and costs nothing until then. */
static bool was_deleted(const struct tier *tier, const struct stub_row *row)
{
	const char *rest = NULL;

	/* That of another tier with the same table is judged when it is that tier's turn,
	 * since the path may lead to a cover. */
	if (row->path && !tier_path_below(row->path, tier->folder, &rest))
		return true;
	return tier_handle_deleted(row->handle, row->handle_size, tier->root_fd, rest);
}

static int mark_row(struct tier *tier, int group, const struct stub_row *row,
		    struct error *err)
{
	autoclose int fd = -1;
	int r;

	r = tier_handle_open(tier->root_fd, row->handle, row->handle_size, O_PATH, &fd);
	if (r == -ESTALE && was_deleted(tier, row))
		return 0;
	if (r < 0)
		return error_set_errno(err, r, "open by handle");
	/* Before it is marked, so that it can be opened for writing. */
	if (row->state == STUB_PREPARED)
		return take_back(tier, group, row, err);
	return group_mark(group, fd, err);
}

static int recover_row(struct tier *tier, int group, const struct stub_row *row,
		       struct error *err)
{
	int r;

	if (row->state != STUB_PREPARED)
		return 0;
	r = take_back(tier, group, row, err);
	return r == -ESTALE && was_deleted(tier, row) ? 0 : r;
}

static int visit_rows(struct tier *tier, int group,
		      int (*visit)(struct tier *tier, int group,
				   const struct stub_row *row, struct error *err),
		      struct error *err)
{
	struct stub_row row = { 0 };
	uint8_t handle[STUB_HANDLE_MAX];
	size_t size = 0;
	int r;

	while ((r = stub_table_next(tier->table, handle, size, &row, err)) == 0) {
		memcpy(handle, row.handle, row.handle_size);
		size = row.handle_size;
		r = visit(tier, group, &row, err);
		if (r < 0)
			(void)error_prefix(err, r, "stub '%s'", row.path ? row.path : "");
		stub_row_done(&row);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* ---- by markers ---- */

static int mark_found(void *context, int fd, const struct marker *marker,
		      const char *path, struct error *err)
{
	const int *group = context;
	int r = group_mark(*group, fd, err);

	(void)marker;
	return r < 0 ? error_prefix(err, r, "'%s'", path) : 0;
}

struct scanning {
	pthread_t thread;
	const struct tiers *tiers;
	int group;
	int r;
	struct error err;
};

static void *scan_all(void *argument)
{
	struct scanning *scanning = argument;
	const struct tiers *tiers = scanning->tiers;

	for (size_t i = 0; i < tiers->count && scanning->r == 0; i++)
		scanning->r = marker_scan(tiers->items[i].root_fd, tiers->items[i].folder,
					  mark_found, &scanning->group, &scanning->err);
	return NULL;
}

/* ---- both ---- */

int marking_all(const struct tiers *tiers, int group, struct error *err)
{
	struct scanning scanning = { .tiers = tiers, .group = group };
	int r = pthread_create(&scanning.thread, NULL, scan_all, &scanning);

	if (r != 0)
		return error_set_errno(err, -r, "new thread");
	for (size_t i = 0; i < tiers->count && r == 0; i++)
		r = visit_rows(&tiers->items[i], group, mark_row, err);
	(void)pthread_join(scanning.thread, NULL);
	if (r == 0 && scanning.r < 0) {
		r = scanning.r;
		if (err)
			*err = scanning.err;
	}
	return r;
}

int marking_recover(const struct tiers *tiers, int group, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < tiers->count && r == 0; i++)
		r = visit_rows(&tiers->items[i], group, recover_row, err);
	return r;
}
