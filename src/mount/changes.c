/* SPDX-License-Identifier: MIT */
/* Names are marked as expired: the kernel asks for them again, and only if the answer is
 * another inode does it drop the old one. So a shell may sit in a folder whose attributes
 * change. What the kernel does not know costs a call that fails.
 *
 * Files need nothing else, as another version is another inode. Folders lose their attributes
 * and the cached list of their entries.
 */
#include "mount/changes.h"

#include "archive/archive.h"
#include "catalog/entry.h"
#include "catalog/listing.h"
#include "mount/file_system.h"
#include "mount/operations.h"
#include "mount/special.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct telling {
	struct request *request;
	struct fuse_session *fuse;
	int64_t folder; /* told last; -1: none */
};

static void forget_inode(const struct telling *telling, enum inode_kind kind,
			 int64_t node)
{
	struct inode inode = { .epoch =
				       kind == INODE_SPECIAL
					       ? 0
					       : backing_epoch(telling->request->backing),
			       .kind = kind,
			       .node = node };
	uint64_t number;

	if (inode_encode(&inode, &number) == 0)
		(void)fuse_lowlevel_notify_inval_inode(telling->fuse, number, 0, 0);
}

static void forget_name(const struct telling *telling, enum inode_kind kind, int64_t node,
			const char *name, size_t size)
{
	struct inode inode = { .epoch =
				       kind == INODE_SPECIAL
					       ? 0
					       : backing_epoch(telling->request->backing),
			       .kind = kind,
			       .node = node };
	uint64_t number;

	if (inode_encode(&inode, &number) < 0)
		return;
	if (fuse_lowlevel_notify_expire_entry(telling->fuse, number, name, size,
					      FUSE_LL_EXPIRE_ONLY) == -ENOSYS)
		(void)fuse_lowlevel_notify_inval_entry(telling->fuse, number, name, size);
}

static int tell_row(void *context, const struct version_row *row, struct error *err)
{
	struct telling *telling = context;
	const char *name = (const char *)row->name.data;
	char number[16];

	(void)err;
	if (telling->folder != row->parent) {
		telling->folder = row->parent;
		forget_inode(telling, INODE_LIVE, row->parent);
		forget_inode(telling, INODE_VERSIONS, row->parent);
	}
	forget_name(telling, INODE_LIVE, row->parent, name, row->name.size);
	forget_name(telling, INODE_VERSIONS, row->parent, name, row->name.size);
	forget_inode(telling, INODE_VERSIONS, row->node);
	if (row->type == ENTRY_DIRECTORY) {
		forget_inode(telling, INODE_LIVE, row->node);
		return 0;
	}
	(void)snprintf(number, sizeof(number), "%u", row->version);
	forget_name(telling, INODE_VERSIONS, row->node, number, strlen(number));
	return 0;
}

/* The folder of commits, and the tops, which have the time of the last one. */
static void tell_tops(const struct telling *telling, uint64_t after, uint64_t last)
{
	char name[24];

	for (uint64_t n = after + 1; n <= last && n - after < 1000; n++) {
		(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
		forget_name(telling, INODE_SPECIAL, SPECIAL_COMMITS, name, strlen(name));
	}
	forget_inode(telling, INODE_SPECIAL, SPECIAL_COMMITS);
	forget_inode(telling, INODE_SPECIAL, SPECIAL_FOLDER);
	forget_inode(telling, INODE_VERSIONS, 0);
	forget_inode(telling, INODE_LIVE, 0);
}

int changes_tell(struct request *request, struct fuse_session *fuse, uint64_t after,
		 uint64_t last)
{
	struct telling telling = { request, fuse, -1 };
	int r;

	r = entry_visit_changes(request->catalog, after, last, tell_row, &telling,
				&request->err);
	tell_tops(&telling, after, last);
	return r;
}

int changes_tell_all(struct request *request, struct fuse_session *fuse)
{
	struct telling telling = { request, fuse, -1 };
	const struct bytes none = { 0 };
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	int r;

	(void)fuse_lowlevel_notify_inval_entry(fuse, INODE_ROOT, SPECIAL_NAME,
					       strlen(SPECIAL_NAME));
	if (archive_origin(backing_archive(request->backing))) {
		tell_tops(&telling, 0, 0); /* names expire by themselves */
		return 0;
	}
	r = listing_paths_after(request->catalog, 0, &none, &listing, &request->err);
	if (r < 0)
		return r;
	while ((r = listing_next(listing, &row, &request->err)) == 0)
		(void)fuse_lowlevel_notify_inval_entry(
			fuse, INODE_ROOT, (const char *)row.name.data, row.name.size);
	version_row_done(&row);
	tell_tops(&telling, 0, 0);
	return r == CATALOG_END ? 0 : r;
}
