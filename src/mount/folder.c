/* SPDX-License-Identifier: MIT */
/* Offsets: 1 and 2 are behind "." and "..". Then come the entries in byte order of their
 * names; behind one the offset is its node plus 2. To go on there, its name is looked up by
 * the node and the listing begins behind that name, which is right even if the entry has been
 * removed. Behind version n of a path it is n plus VERSIONS_OFFSET; in the folder of commits
 * it is the commit's number plus 3.
 */
#include "mount/folder.h"

#include "catalog/entry.h"
#include "catalog/listing.h"
#include "mount/entry.h"
#include "mount/file_system.h"
#include "mount/special.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DOTS 2u /* entries "." and ".." */
#define VERSIONS_OFFSET (UINT64_C(1) << 40)

#define FULL 1 /* the sink is */

static const mode_t types[] = {
	[ENTRY_FILE] = S_IFREG,  [ENTRY_DIRECTORY] = S_IFDIR, [ENTRY_SYMLINK] = S_IFLNK,
	[ENTRY_FIFO] = S_IFIFO,  [ENTRY_SOCKET] = S_IFSOCK,   [ENTRY_CHAR] = S_IFCHR,
	[ENTRY_BLOCK] = S_IFBLK,
};

struct reading {
	struct request *request;
	struct inode folder;
	struct folder_sink *sink;
};

/* Add with number and type only. FULL. */
static int add_plain(const struct reading *reading, const char *name,
		     const struct inode *inode, mode_t type, uint64_t offset)
{
	struct found found = { .inode = *inode };
	uint64_t number;
	int r;

	r = inode_encode(inode, &number);
	if (r < 0)
		return r == -EOVERFLOW ? 0 : r; /* can't be shown */
	found.stat.st_ino = number;
	found.stat.st_mode = type;
	return reading->sink->add(reading->sink, name, &found, false, offset) ? 0 : FULL;
}

static int add_dots(const struct reading *reading, uint64_t offset)
{
	struct inode parent;
	int r = 0;

	if (offset == 0)
		r = add_plain(reading, ".", &reading->folder, S_IFDIR, 1);
	if (r != 0 || offset >= DOTS)
		return r;
	r = look_up_parent(reading->request, &reading->folder, &parent);
	return r < 0 ? r : add_plain(reading, "..", &parent, S_IFDIR, DOTS);
}

/* The name that a listing from @offset on begins behind. The caller frees it. */
static int name_at(const struct reading *reading, uint64_t offset, struct bytes *name_out)
{
	struct request *request = reading->request;
	struct version_row row = { 0 };
	int r;

	*name_out = (struct bytes){ 0 };
	if (offset <= DOTS)
		return 0;
	r = entry_newest(request->catalog, (int64_t)(offset - DOTS), &row, &request->err);
	if (r == 0 && row.parent == reading->folder.node)
		*name_out = (struct bytes){ take_ptr(row.name.data), row.name.size };
	else if (r >= 0)
		r = -EINVAL; /* no offset of this folder */
	version_row_done(&row);
	return r;
}

/* The line has to be that of the name it is shown under: of @folder's key and the name. To be
 * asked of the row as it was listed, before it makes way for the file's first name. */
static int check_folder(const struct reading *reading, const struct version_row *row,
			const struct bytes *folder)
{
	struct error *err = &reading->request->err;
	uint8_t key[MANIFEST_KEY_MAX];
	size_t folder_size;
	size_t key_size;
	int r;

	r = manifest_decode_key(row->line, row->line_size, key, &key_size, err);
	if (r < 0)
		return r;
	folder_size = key_size - key_name_size(key, key_size);
	folder_size -= folder_size > 0; /* the zero byte between them */
	if (folder_size == folder->size &&
	    (folder_size == 0 || memcmp(key, folder->data, folder_size) == 0))
		return 0;
	return error_set(err, -EBADMSG,
			 "catalog is damaged (a manifest of another path)");
}

/* Add the entry of @row with everything, which is moved out of it. */
static int add_complete(const struct reading *reading, struct version_row *row,
			const struct bytes *folder_key, const char *name, uint64_t offset)
{
	int r = check_folder(reading, row, folder_key);
	autoentry entry = { .row = *row };
	struct found found;

	*row = (struct version_row){ 0 };
	if (r == 0)
		r = entry_of_row(reading->request, &reading->folder, &entry);
	if (r == 0)
		r = look_up_entry(reading->request, &entry, &found);
	if (r < 0)
		return r == -EOVERFLOW ? 0 : r;
	return reading->sink->add(reading->sink, name, &found, true, offset) ? 0 : FULL;
}

/* Names of one file have the number of the first of them. A listing without lines does not
 * tell which names these are. */
static int find_first_name(const struct reading *reading, struct inode *inode)
{
	struct request *request = reading->request;
	autoentry entry = { 0 };
	bool linked = false;
	int r;

	r = entry_is_linked(request->catalog, inode->node, inode->number, &linked,
			    &request->err);
	if (r < 0 || !linked)
		return r;
	r = entry_load(request, inode, &entry);
	if (r == 0)
		*inode = entry.inode;
	return r;
}

static int add_row(const struct reading *reading, struct version_row *row,
		   const struct bytes *folder_key)
{
	uint64_t offset = (uint64_t)row->node + DOTS;
	struct inode inode = reading->folder;
	char name[KEY_COMPONENT_MAX + 1];
	mode_t type = S_IFDIR;
	int r;

	memcpy(name, row->name.data, row->name.size);
	name[row->name.size] = '\0';
	if (row->line)
		return add_complete(reading, row, folder_key, name, offset);
	inode.node = row->node;
	if (inode.kind != INODE_VERSIONS && row->type != ENTRY_DIRECTORY) {
		inode.kind = INODE_VERSION;
		inode.number = row->version;
		type = types[row->type];
		r = find_first_name(reading, &inode);
		if (r < 0)
			return r;
	}
	return add_plain(reading, name, &inode, type, offset);
}

static int add_rows(const struct reading *reading, struct listing *listing,
		    const struct bytes *folder_key)
{
	struct request *request = reading->request;
	struct version_row row = { 0 };
	int r;

	while ((r = listing_next(listing, &row, &request->err)) == 0) {
		r = add_row(reading, &row, folder_key);
		if (r != 0)
			break;
	}
	version_row_done(&row);
	return r == CATALOG_END ? 0 : r;
}

static int list_tree(const struct reading *reading, uint64_t offset)
{
	struct request *request = reading->request;
	autoptr(listing) listing = NULL;
	struct bytes after = { 0 };
	autoentry folder = { 0 };
	int r;

	r = entry_load(request, &reading->folder, &folder);
	if (r == 0)
		r = name_at(reading, offset, &after);
	if (r == 0)
		r = listing_children_after(request->catalog, reading->folder.node,
					   entry_commit(request, &reading->folder),
					   reading->sink->wants_complete, &after,
					   &listing, &request->err);
	if (r == 0)
		r = add_rows(reading, listing, &folder.manifest.key);
	free(after.data);
	return r;
}

/* The numbers of the versions of a path. */
static int list_numbers(const struct reading *reading, uint64_t offset)
{
	struct request *request = reading->request;
	struct version_row row = { 0 };
	uint32_t number =
		offset > VERSIONS_OFFSET ? (uint32_t)(offset - VERSIONS_OFFSET) : 0;
	char name[16];
	int r;

	while ((r = entry_next_version(request->catalog, reading->folder.node, number,
				       &row, &request->err)) == 0) {
		struct inode inode = reading->folder;

		number = row.version;
		inode.kind = INODE_VERSION;
		inode.number = number;
		(void)snprintf(name, sizeof(name), "%u", number);
		r = add_plain(reading, name, &inode, types[row.type],
			      VERSIONS_OFFSET + number);
		if (r != 0)
			return r;
	}
	return r == CATALOG_END ? 0 : r;
}

/* Paths that there ever were in the folder, then versions of the path itself. */
static int list_versions(const struct reading *reading, uint64_t offset)
{
	struct request *request = reading->request;
	autoptr(listing) listing = NULL;
	struct bytes after = { 0 };
	int r = 0;

	if (offset < VERSIONS_OFFSET) {
		r = name_at(reading, offset, &after);
		if (r == 0)
			r = listing_paths_after(request->catalog, reading->folder.node,
						&after, &listing, &request->err);
		if (r == 0)
			r = add_rows(reading, listing, NULL);
		free(after.data);
	}
	return r != 0 ? r : list_numbers(reading, offset);
}

static int list_commits(const struct reading *reading, uint64_t offset)
{
	struct request *request = reading->request;
	struct inode inode = { .epoch = backing_epoch(request->backing),
			       .kind = INODE_COMMIT };
	struct commit_row commit = { 0 };
	uint64_t last, n;
	char name[24];
	int r;

	r = catalog_get_commit(request->catalog, VERSION_CURRENT, &commit, &request->err);
	last = commit.sequence;
	commit_row_done(&commit);
	if (r != 0)
		return r < 0 ? r : 0;
	for (n = offset - DOTS; n <= last && n <= INODE_NUMBER_MAX; n++) {
		r = catalog_get_commit(request->catalog, n, &commit, &request->err);
		commit_row_done(&commit);
		if (r == CATALOG_END)
			continue;
		inode.number = (uint32_t)n;
		(void)snprintf(name, sizeof(name), "%u", inode.number);
		if (r == 0)
			r = add_plain(reading, name, &inode, S_IFDIR, n + 1 + DOTS);
		if (r != 0)
			return r;
	}
	return 0;
}

static int list_special(const struct reading *reading, uint64_t offset)
{
	static const struct {
		const char *name;
		struct inode inode;
		mode_t type;
	} entries[] = {
		{ "commits",
		  { .kind = INODE_SPECIAL, .node = SPECIAL_COMMITS },
		  S_IFDIR },
		{ "health", { .kind = INODE_SPECIAL, .node = SPECIAL_HEALTH }, S_IFREG },
		{ "versions", { .kind = INODE_VERSIONS }, S_IFDIR },
	};
	int r = 0;

	for (uint64_t i = offset - DOTS; r == 0 && i < 3; i++) {
		struct inode inode = entries[i].inode;

		if (inode.kind == INODE_VERSIONS)
			inode.epoch = backing_epoch(reading->request->backing);
		r = add_plain(reading, entries[i].name, &inode, entries[i].type,
			      i + 1 + DOTS);
	}
	return r;
}

static int list_entries(const struct reading *reading, uint64_t offset)
{
	switch (reading->folder.kind) {
	case INODE_LIVE:
	case INODE_COMMIT:
		return list_tree(reading, offset);
	case INODE_VERSIONS:
		return list_versions(reading, offset);
	case INODE_SPECIAL:
		return reading->folder.node == SPECIAL_COMMITS
			       ? list_commits(reading, offset)
			       : list_special(reading, offset);
	case INODE_VERSION:
		break;
	}
	return -ENOTDIR;
}

int folder_list(struct request *request, const struct inode *folder, uint64_t offset,
		struct folder_sink *sink)
{
	struct reading reading = { request, *folder, sink };
	int r;

	if (folder->kind != INODE_SPECIAL && folder->node != 0 &&
	    folder->epoch != backing_epoch(request->backing))
		return -ESTALE;
	reading.folder.epoch = backing_epoch(request->backing);
	r = add_dots(&reading, offset);
	if (r == 0)
		r = list_entries(&reading, offset < DOTS ? DOTS : offset);
	return r == FULL ? 0 : r;
}
