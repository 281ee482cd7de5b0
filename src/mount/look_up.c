/* SPDX-License-Identifier: MIT */
#include "mount/look_up.h"

#include "mount/bare_inodes.h"
#include "mount/entry.h"
#include "mount/file_system.h"
#include "mount/special.h"

#include <errno.h>
#include <string.h>

static bool is(const struct bytes *name, const char *text)
{
	return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

int look_up_entry(struct request *request, const struct entry *entry,
		  struct found *found_out)
{
	int r;

	found_out->inode = entry->inode;
	r = entry_stat(request, entry, &found_out->stat);
	if (r == 0 && entry->manifest.xattr_count == 0)
		bare_inodes_add(request->fs->bare, found_out->stat.st_ino);
	return r;
}

int look_up_inode(struct request *request, const struct inode *inode,
		  struct found *found_out)
{
	autoentry entry = { 0 };
	int r;

	if (inode->kind == INODE_SPECIAL) {
		found_out->inode = *inode;
		return special_stat(request, inode, &found_out->stat);
	}
	r = entry_load(request, inode, &entry);
	return r < 0 ? r : look_up_entry(request, &entry, found_out);
}

int look_up_parent(struct request *request, const struct inode *folder,
		   struct inode *parent_out)
{
	autoentry entry = { 0 };
	int r;

	if (folder->kind == INODE_LIVE && folder->node == 0) {
		*parent_out = *folder;
		return 0;
	}
	if (folder->kind == INODE_VERSION)
		return -ENOTDIR;
	if (folder->kind == INODE_SPECIAL || folder->node == 0) {
		special_parent(folder, parent_out);
		return 0;
	}
	r = entry_load(request, folder, &entry);
	if (r < 0)
		return r;
	*parent_out = *folder;
	parent_out->node = entry.row.parent;
	return 0;
}

int look_up_name(struct request *request, const struct inode *folder,
		 const struct bytes *name, struct found *found_out)
{
	autoentry entry = { 0 };
	struct inode inode;
	int r;

	/* Asked by NFS, which knows nothing but the number. */
	if (is(name, "."))
		return look_up_inode(request, folder, found_out);
	if (is(name, "..")) {
		r = look_up_parent(request, folder, &inode);
		return r < 0 ? r : look_up_inode(request, &inode, found_out);
	}
	r = special_lookup(request, folder, name, &inode);
	if (r == 0)
		return look_up_inode(request, &inode, found_out);
	if (r != -ENOENT || folder->kind == INODE_SPECIAL)
		return r;
	if (folder->epoch != backing_epoch(request->backing) && folder->node != 0)
		return -ESTALE;
	inode = *folder;
	inode.epoch = backing_epoch(request->backing);
	r = entry_lookup(request, &inode, name, &entry);
	return r < 0 ? r : look_up_entry(request, &entry, found_out);
}
