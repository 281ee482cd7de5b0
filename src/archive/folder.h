/* SPDX-License-Identifier: MIT */
#pragma once
/* A folder of the source file system, held open so that what is in it can be opened without
 * its path: immune to renames above it and to the length limit of paths.
 *
 * Threads: one at a time; other threads may use a descriptor while somebody holds a
 * reference for them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;

struct folder {
	int fd; /* owned; -1 while it is closed (folder_retire()) */
	dev_t device;
	ino_t inode;
	unsigned references;
	bool retired; /* close it when its first reference is the only one */
};

/* The names in a folder, sorted as byte strings. */
struct folder_names {
	char *data;     /* owned: for each name its d_type byte, the name and a NUL */
	size_t size;    /* bytes in use */
	size_t *starts; /* owned: offsets in data of the names (behind the type byte) */
	size_t count;
};

/* Open folder @name of @dirfd with one reference; a symlink is not followed. -ENOTDIR,
 * -ENOENT, -EACCES, ... */
int folder_open(int dirfd, const char *name, struct folder **folder_out);

struct folder *folder_ref(struct folder *folder);
/* NULL is allowed. */
void folder_unref(struct folder *folder);

/* Save a descriptor: close it as soon as nobody but the first owner refers to it. */
void folder_retire(struct folder *folder);

/* Open a retired folder again, as the one above @below, which must be open. -ESTALE if
 * something else stands there now. */
int folder_reopen(struct folder *folder, const struct folder *below);

/* Read all names but "." and "..". Release with folder_names_done(). */
int folder_read(const struct folder *folder, struct folder_names *names_out);
void folder_names_done(struct folder_names *names);

#define autofolder_names __attribute__((__cleanup__(folder_names_done)))

static inline const char *folder_name(const struct folder_names *names, size_t i)
{
	return names->data + names->starts[i];
}

/* DT_DIR, ... or DT_UNKNOWN. */
static inline unsigned char folder_name_type(const struct folder_names *names, size_t i)
{
	return (unsigned char)names->data[names->starts[i] - 1];
}
