/* SPDX-License-Identifier: MIT */
#pragma once
/* Entries of the trees that the mount shows: the live one, those of commits, and the folders
 * of versions. Found by their names or by their inode numbers. Threads: as the request.
 */
#include "base/cleanup.h"
#include "catalog/history.h"
#include "mount/inode.h"

struct bytes;
struct request;
struct stat;

struct entry {
	struct inode inode;
	struct version_row row; /* with its line; of the top only zeroes */
	struct manifest manifest;
	uint64_t links; /* names of the file; 0 for a folder (entry_stat() counts) */
};

void entry_done(struct entry *entry);
#define autoentry __attribute__((__cleanup__(entry_done))) struct entry

/* The entry with this number (not INODE_SPECIAL). -ESTALE if there is none (any more). */
int entry_load(struct request *request, const struct inode *inode,
	       struct entry *entry_out);

/* The entry @name in the folder with number @folder. -ENOENT, -ENOTDIR, -EOVERFLOW. */
int entry_lookup(struct request *request, const struct inode *folder,
		 const struct bytes *name, struct entry *entry_out);

/* The folder above @entry, which is one. */
int entry_parent(struct request *request, const struct entry *entry,
		 struct entry *parent_out);

/* Fill @entry (inode and links) for @entry->row, which a listing of @folder gave. */
int entry_of_row(struct request *request, const struct inode *folder,
		 struct entry *entry);

/* The commit at which folder @inode is seen: its own, or that of the mount. */
uint64_t entry_commit(const struct request *request, const struct inode *inode);

bool entry_is_folder(const struct entry *entry);

/* What stat() shows (attributes.c). */
int entry_stat(struct request *request, const struct entry *entry, struct stat *stat_out);
