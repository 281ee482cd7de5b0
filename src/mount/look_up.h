/* SPDX-License-Identifier: MIT */
#pragma once
/* Names and numbers of all kinds of inodes in one place: entries of the trees and what is
 * special. Threads: as the request.
 */
#include "mount/inode.h"

#include <sys/stat.h>

struct bytes;
struct entry;
struct request;

/* What the kernel is told of an inode. */
struct found {
	struct inode inode;
	struct stat stat;
};

/* What the kernel is told of @entry. */
int look_up_entry(struct request *request, const struct entry *entry,
		  struct found *found_out);

/* @name in @folder, also "." and "..". -ENOENT, -ENOTDIR, -ESTALE. */
int look_up_name(struct request *request, const struct inode *folder,
		 const struct bytes *name, struct found *found_out);

/* -ESTALE if there is none (any more). */
int look_up_inode(struct request *request, const struct inode *inode,
		  struct found *found_out);

/* The folder above @folder. */
int look_up_parent(struct request *request, const struct inode *folder,
		   struct inode *parent_out);
