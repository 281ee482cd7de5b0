/* SPDX-License-Identifier: MIT */
/* Files, symlinks and everything else but folders are versions: found by node and number,
 * whatever tree they were met in. Folders are nodes as of a commit. What is found is the same
 * for every way to it, so a number alone is enough to go on, after a restart as well.
 *
 * Names of one file (hard links) share the inode of that one of them whose node is the
 * lowest. As the table of links only says where to look, that one's manifest has to name the
 * same link, inode and content; otherwise the name stays a file of its own.
 */
#include "mount/entry.h"

#include "archive/head.h"
#include "base/number.h"
#include "catalog/entry.h"
#include "catalog/listing.h"
#include "mount/file_system.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void entry_done(struct entry *entry)
{
	manifest_done(&entry->manifest);
	version_row_done(&entry->row);
}

bool entry_is_folder(const struct entry *entry)
{
	return entry->inode.kind != INODE_VERSION;
}

uint64_t entry_commit(const struct request *request, const struct inode *inode)
{
	return inode->kind == INODE_COMMIT ? inode->number : request->fs->at;
}

/* The newest commit that has @row. */
static uint64_t last_commit(const struct version_row *row)
{
	return row->end == VERSION_CURRENT ? VERSION_CURRENT : row->end - 1;
}

static int decode(struct request *request, struct entry *entry)
{
	return manifest_decode(entry->row.line, entry->row.line_size, &entry->manifest,
			       &request->err);
}

static bool same_file(const struct entry *a, const struct entry *b)
{
	return a->manifest.link.size == b->manifest.link.size &&
	       memcmp(a->manifest.link.data, b->manifest.link.data,
		      a->manifest.link.size) == 0 &&
	       a->manifest.inode == b->manifest.inode && a->row.size == b->row.size &&
	       hash_equal(&a->row.hash, &b->row.hash);
}

/* Let @entry be the first of its names, if it has several. */
static int follow_link(struct request *request, struct entry *entry)
{
	uint64_t at = last_commit(&entry->row);
	struct entry first = { .inode = entry->inode };
	int64_t node = 0;
	int r;

	entry->links = 1;
	if (entry->manifest.link.size == 0)
		return 0;
	r = entry_links(request->catalog, &entry->manifest.link, entry->manifest.inode,
			at, &entry->links, &node, &request->err);
	if (r < 0)
		return r;
	if (entry->links == 0)
		entry->links = 1; /* only if the table is damaged */
	if (node == 0 || node == entry->row.node)
		return 0;

	r = entry_at(request->catalog, node, at, &first.row, &request->err);
	if (r == CATALOG_END)
		return 0;
	if (r == 0)
		r = decode(request, &first);
	if (r == 0 && same_file(entry, &first)) {
		first.links = entry->links;
		first.inode.node = node;
		first.inode.number = first.row.version;
		entry_done(entry);
		*entry = first;
		return 0;
	}
	entry_done(&first);
	return r;
}

int entry_of_row(struct request *request, const struct inode *folder, struct entry *entry)
{
	int r;

	entry->inode = (struct inode){ .epoch = folder->epoch, .node = entry->row.node };
	r = decode(request, entry);
	if (r < 0)
		return r;
	if (entry->row.type == ENTRY_DIRECTORY) {
		entry->inode.kind = folder->kind;
		entry->inode.number = folder->number;
		return 0;
	}
	entry->inode.kind = INODE_VERSION;
	entry->inode.number = entry->row.version;
	return follow_link(request, entry);
}

/* The rows that a number stands for. CATALOG_END. */
static int load_row(struct request *request, const struct inode *inode,
		    struct version_row *row_out)
{
	struct catalog *catalog = request->catalog;

	switch (inode->kind) {
	case INODE_VERSION:
		return entry_version(catalog, inode->node, inode->number, row_out,
				     &request->err);
	case INODE_VERSIONS:
		return entry_newest(catalog, inode->node, row_out, &request->err);
	case INODE_LIVE:
	case INODE_COMMIT:
		return entry_at(catalog, inode->node, entry_commit(request, inode),
				row_out, &request->err);
	case INODE_SPECIAL:
		break;
	}
	return CATALOG_END;
}

/* The top is as old as the commit that it is seen at. */
static int set_top_times(struct request *request, struct entry *entry)
{
	struct commit_row commit = { 0 };
	struct head head = { 0 };
	int r;

	r = catalog_get_commit(request->catalog, entry_commit(request, &entry->inode),
			       &commit, &request->err);
	if (r == 0)
		r = head_decode(commit.head, strlen(commit.head), &head, &request->err);
	if (r == 0) {
		entry->manifest.mtime = head.time;
		entry->manifest.ctime = head.time;
	}
	head_done(&head);
	commit_row_done(&commit);
	return r;
}

/* It belongs to whoever mounted it. The kernel asks for the ACL of the top, and of nothing
 * else, each time that it goes through: its inode is older than what was agreed on ACLs. Not
 * for the owner, though, who so walks through without a request. */
static int load_top(struct request *request, struct entry *entry)
{
	entry->manifest.type = ENTRY_DIRECTORY;
	entry->manifest.mode = 0755;
	entry->manifest.uid = geteuid();
	entry->manifest.gid = getegid();
	return set_top_times(request, entry);
}

static int load(struct request *request, struct entry *entry)
{
	const struct inode *inode = &entry->inode;
	int r;

	if (inode->node == 0)
		return load_top(request, entry);
	r = load_row(request, inode, &entry->row);
	if (r == 0)
		r = decode(request, entry);
	if (r != 0)
		return r;
	if (inode->kind == INODE_VERSIONS)
		return 0;
	if ((entry->row.type == ENTRY_DIRECTORY) == (inode->kind == INODE_VERSION))
		return CATALOG_END;
	return inode->kind == INODE_VERSION ? follow_link(request, entry) : 0;
}

int entry_load(struct request *request, const struct inode *inode,
	       struct entry *entry_out)
{
	struct entry entry = { .inode = *inode };
	int r = CATALOG_END;

	if (inode->epoch == backing_epoch(request->backing) ||
	    (inode->kind == INODE_LIVE && inode->node == 0))
		r = load(request, &entry);
	if (r != 0) {
		entry_done(&entry);
		return r == CATALOG_END ? -ESTALE : r;
	}
	entry.inode.epoch = backing_epoch(request->backing);
	*entry_out = entry;
	return 0;
}

/* Version "@name" of path @node, as a file. */
static int lookup_version(struct request *request, const struct inode *folder,
			  const struct bytes *name, struct entry *entry)
{
	char text[NUMBER_TEXT_MAX] = "";
	uint64_t number = 0;
	int r;

	if (name->size >= sizeof(text))
		return CATALOG_END;
	memcpy(text, name->data, name->size);
	if (number_parse_u64(text, &number) < 0 || number > UINT32_MAX)
		return CATALOG_END;
	r = entry_version(request->catalog, folder->node, (uint32_t)number, &entry->row,
			  &request->err);
	if (r != 0)
		return r;
	if (entry->row.type == ENTRY_DIRECTORY)
		return CATALOG_END;
	return entry_of_row(request, folder, entry);
}

/* A path of the same name goes before a version of that number. */
static int lookup_in_versions(struct request *request, const struct inode *folder,
			      const struct bytes *name, struct entry *entry)
{
	int64_t node = 0;
	int r;

	r = entry_child_node(request->catalog, folder->node, name, &node, &request->err);
	if (r < 0)
		return r;
	if (r == 0) {
		entry->inode = *folder;
		entry->inode.node = node;
		r = load(request, entry);
		if (r != CATALOG_END)
			return r;
	}
	return lookup_version(request, folder, name, entry);
}

int entry_lookup(struct request *request, const struct inode *folder,
		 const struct bytes *name, struct entry *entry_out)
{
	struct entry entry = { .inode = *folder };
	uint64_t number;
	int r;

	if (name->size == 0 || name->size > KEY_COMPONENT_MAX)
		return -ENOENT;
	if (folder->kind == INODE_VERSION)
		return -ENOTDIR;
	if (folder->kind == INODE_VERSIONS) {
		r = lookup_in_versions(request, folder, name, &entry);
	} else {
		r = entry_child(request->catalog, folder->node, name,
				entry_commit(request, folder), &entry.row, &request->err);
		if (r == 0)
			r = entry_of_row(request, folder, &entry);
	}
	if (r == 0)
		r = inode_encode(&entry.inode, &number);
	if (r != 0) {
		entry_done(&entry);
		return r == CATALOG_END ? -ENOENT : r;
	}
	*entry_out = entry;
	return 0;
}

int entry_parent(struct request *request, const struct entry *entry,
		 struct entry *parent_out)
{
	struct inode inode = entry->inode;

	inode.node = entry->row.parent; /* the top is its own */
	return entry_load(request, &inode, parent_out);
}
