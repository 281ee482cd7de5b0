/* SPDX-License-Identifier: MIT */
#pragma once
/* Folders of one process, which go with it: what a killed one has left is removed by the next.
 * Any thread.
 */
struct error;

struct private_folder {
	char *path;  /* owned */
	int lock_fd; /* held while it is in use */
};

/* Release with private_folder_remove(), also after a failure; start with { NULL, -1 }. */
int private_folder_make(struct private_folder *folder, struct error *err);
void private_folder_remove(struct private_folder *folder);

/* Wake who watches the folder. */
void private_folder_touch(const struct private_folder *folder);
