/* SPDX-License-Identifier: MIT */
/* What stat() shows. Manifests do not keep what depends on the file system that a file came
 * from: blocks are those that its content without the holes takes, folders have one, and the
 * time of access is that of modification.
 */
#include "mount/entry.h"

#include "catalog/entry.h"
#include "mount/file_system.h"

#include <sys/stat.h>

#define BLOCK_SIZE 4096u   /* bytes; what space is handed out in */
#define SECTOR_SIZE 512u   /* bytes; what st_blocks counts in */
#define FOLDER_SIZE 4096u  /* bytes */
#define COUNTED_MAX 64998u /* folders in a folder; the same as ext4 */

static const mode_t types[] = {
	[ENTRY_FILE] = S_IFREG,  [ENTRY_DIRECTORY] = S_IFDIR, [ENTRY_SYMLINK] = S_IFLNK,
	[ENTRY_FIFO] = S_IFIFO,  [ENTRY_SOCKET] = S_IFSOCK,   [ENTRY_CHAR] = S_IFCHR,
	[ENTRY_BLOCK] = S_IFBLK,
};

static struct timespec time_of(const struct entry_time *time)
{
	return (struct timespec){ .tv_sec = time->seconds, .tv_nsec = time->nanoseconds };
}

/* Sectors of a file's blocks. A hole begins and ends on blocks of the file system that it
 * was made on; what is left of a block of ours counts whole. */
static blkcnt_t file_sectors(const struct manifest *manifest)
{
	uint64_t size = manifest->size;

	for (size_t i = 0; i < manifest->hole_count; i++) {
		const struct manifest_hole *hole = &manifest->holes[i];
		uint64_t first =
			(hole->offset + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
		uint64_t end = hole->offset + hole->size;

		if (end < manifest->size)
			end = end / BLOCK_SIZE * BLOCK_SIZE;
		if (end > first)
			size -= end - first;
	}
	return (blkcnt_t)((size + BLOCK_SIZE - 1) / BLOCK_SIZE *
			  (BLOCK_SIZE / SECTOR_SIZE));
}

static void set_size(const struct entry *entry, struct stat *stat)
{
	const struct manifest *manifest = &entry->manifest;

	stat->st_blksize = 128 << 10;
	if (entry_is_folder(entry)) {
		stat->st_size = FOLDER_SIZE;
		stat->st_blocks = FOLDER_SIZE / SECTOR_SIZE;
	} else if (manifest->type == ENTRY_SYMLINK) {
		stat->st_size = (off_t)manifest->target.size;
	} else if (manifest->type == ENTRY_FILE) {
		stat->st_size = (off_t)manifest->size;
		stat->st_blocks = file_sectors(manifest);
	}
}

/* Folders of versions are as open as what they stand for. Those of paths that are no
 * folders can be listed by everybody; what is in them has its own permissions. */
static mode_t mode_of(const struct entry *entry)
{
	const struct manifest *manifest = &entry->manifest;

	if (entry_is_folder(entry) && manifest->type != ENTRY_DIRECTORY)
		return S_IFDIR | 0555;
	return types[manifest->type] | manifest->mode;
}

/* A folder has a name in the folder above, ".", and ".." in each folder in it. With very
 * many it says 1, which means that nobody counted, as ext4 does. */
static int count_links(struct request *request, const struct entry *entry,
		       struct stat *stat)
{
	uint64_t folders = 0;
	int r = 0;

	stat->st_nlink = (nlink_t)entry->links;
	if (!entry_is_folder(entry))
		return 0;
	if (entry->inode.kind != INODE_VERSIONS)
		r = entry_count_folders(request->catalog, entry->inode.node,
					entry_commit(request, &entry->inode), COUNTED_MAX,
					&folders, &request->err);
	stat->st_nlink = folders < COUNTED_MAX ? (nlink_t)(folders + 2) : 1;
	return r;
}

static void apply_masks(const struct mount_masks *masks, struct stat *stat)
{
	if (masks->has_uid)
		stat->st_uid = masks->uid;
	if (masks->has_gid)
		stat->st_gid = masks->gid;
	if (masks->has_umask)
		stat->st_mode = (stat->st_mode & S_IFMT) | (0777 & ~masks->umask);
}

int entry_stat(struct request *request, const struct entry *entry, struct stat *stat_out)
{
	const struct manifest *manifest = &entry->manifest;
	struct stat stat = {
		.st_mode = mode_of(entry),
		.st_uid = manifest->uid,
		.st_gid = manifest->gid,
		.st_rdev = manifest->device,
		.st_mtim = time_of(&manifest->mtime),
		.st_ctim = time_of(&manifest->ctime),
	};
	uint64_t number;
	int r;

	r = inode_encode(&entry->inode, &number);
	if (r == 0)
		r = count_links(request, entry, &stat);
	if (r < 0)
		return r;
	stat.st_ino = number;
	set_size(entry, &stat);
	stat.st_atim = stat.st_mtim;
	apply_masks(&request->fs->masks, &stat);
	*stat_out = stat;
	return 0;
}
