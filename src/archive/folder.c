/* SPDX-License-Identifier: MIT */
/* Names are read with getdents64() into one arena and sorted by their offsets: a folder of
 * 100,000 names takes three megabytes, not a hundred thousand allocations.
 *
 * A deep tree has more folders than a process may have descriptors. The walk keeps the
 * innermost ones open and retires those further out; on the way back each is opened again
 * as the ".." of the one below it, and must be the same inode on the same device.
 */
#include "archive/folder.h"

#include "base/cleanup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	READ_SIZE = 64 * 1024, /* bytes of directory entries at once */
	OPEN_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
};

int folder_open(int dirfd, const char *name, struct folder **folder_out)
{
	autoclose int fd = openat(dirfd, name, OPEN_FLAGS);
	struct folder *folder;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return -errno;
	folder = calloc(1, sizeof(*folder));
	if (!folder)
		return -ENOMEM;

	folder->fd = take_fd(&fd);
	folder->device = stat.st_dev;
	folder->inode = stat.st_ino;
	folder->references = 1;
	*folder_out = folder;
	return 0;
}

static void close_fd(struct folder *folder)
{
	if (folder->fd >= 0)
		(void)close(folder->fd); /* nothing was written through it */
	folder->fd = -1;
}

struct folder *folder_ref(struct folder *folder)
{
	assert(folder->fd >= 0);
	folder->references++;
	return folder;
}

void folder_unref(struct folder *folder)
{
	if (!folder)
		return;
	assert(folder->references > 0);
	if (--folder->references == 1 && folder->retired)
		close_fd(folder);
	if (folder->references > 0)
		return;
	close_fd(folder);
	free(folder);
}

void folder_retire(struct folder *folder)
{
	folder->retired = true;
	if (folder->references == 1)
		close_fd(folder);
}

int folder_reopen(struct folder *folder, const struct folder *below)
{
	autoclose int fd = -1;
	struct stat stat;

	folder->retired = false;
	if (folder->fd >= 0)
		return 0;
	if (below->fd < 0)
		return -ESTALE;
	fd = openat(below->fd, "..", OPEN_FLAGS);
	if (fd < 0 || fstat(fd, &stat) < 0)
		return -errno;
	if (stat.st_dev != folder->device || stat.st_ino != folder->inode)
		return -ESTALE;
	folder->fd = take_fd(&fd);
	return 0;
}

void folder_names_done(struct folder_names *names)
{
	free(names->data);
	free(names->starts);
	*names = (struct folder_names){ 0 };
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Double the memory behind @array until it has room for @wanted elements. */
static int grow(void **array, size_t *capacity, size_t wanted, size_t element_size)
{
	size_t next = *capacity ? *capacity : 1024;
	void *grown;

	if (wanted <= *capacity)
		return 0;
	while (next < wanted)
		next *= 2;
	grown = reallocarray(*array, next, element_size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*capacity = next;
	return 0;
}

struct capacities {
	size_t data;
	size_t starts;
};

static int add_name(struct folder_names *names, struct capacities *capacities,
		    const struct dirent64 *entry)
{
	size_t size = strlen(entry->d_name) + 1;
	void *data = names->data;
	void *starts = names->starts;
	int r;

	r = grow(&data, &capacities->data, names->size + 1 + size, 1);
	names->data = data;
	if (r < 0)
		return r;
	r = grow(&starts, &capacities->starts, names->count + 1, sizeof(size_t));
	names->starts = starts;
	if (r < 0)
		return r;

	names->data[names->size] = (char)entry->d_type;
	memcpy(names->data + names->size + 1, entry->d_name, size);
	names->starts[names->count++] = names->size + 1;
	names->size += 1 + size;
	return 0;
}

static int compare_starts(const void *a, const void *b, void *context)
{
	const char *data = context;

	return strcmp(data + *(const size_t *)a, data + *(const size_t *)b);
}

static int add_names(struct folder_names *names, struct capacities *capacities,
		     const uint8_t *entries, size_t size)
{
	for (size_t at = 0; at < size;) {
		const void *position = entries + at;
		const struct dirent64 *entry = position;
		int r;

		at += entry->d_reclen;
		if (is_dots(entry->d_name))
			continue;
		r = add_name(names, capacities, entry);
		if (r < 0)
			return r;
	}
	return 0;
}

int folder_read(const struct folder *folder, struct folder_names *names_out)
{
	autofolder_names struct folder_names names = { 0 };
	autofree uint8_t *entries = malloc(READ_SIZE);
	struct capacities capacities = { 0 };
	ssize_t got;

	if (!entries)
		return -ENOMEM;
	if (lseek(folder->fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((got = getdents64(folder->fd, entries, READ_SIZE)) > 0) {
		int r = add_names(&names, &capacities, entries, (size_t)got);

		if (r < 0)
			return r;
	}
	if (got < 0)
		return -errno;

	if (names.count > 1)
		qsort_r(names.starts, names.count, sizeof(names.starts[0]),
			compare_starts, names.data);
	*names_out = names;
	names = (struct folder_names){ 0 };
	return 0;
}
