/* SPDX-License-Identifier: MIT */
/* Nothing is kept open: a disk that is in use by a mount could not be unmounted else, and one
 * that is plugged in later would not be seen. So every use goes by the path again.
 */
#include "archive/places.h"

#include "base/config.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct places {
	int base_fd;
	char **paths; /* owned, each without a slash at its end */
	size_t count;
};

void places_free(struct places *places)
{
	if (!places)
		return;
	for (size_t i = 0; i < places->count; i++)
		free(places->paths[i]);
	free(places->paths);
	cleanup_close_p(&places->base_fd);
	free(places);
}

static bool has_path(const struct places *places, const char *path)
{
	for (size_t i = 0; i < places->count; i++)
		if (strcmp(places->paths[i], path) == 0)
			return true;
	return false;
}

static int add_path(struct places *places, const char *path)
{
	size_t size = strlen(path);
	char *copy;

	while (size > 1 && path[size - 1] == '/')
		size--;
	copy = strndup(path, size);
	if (!copy)
		return -ENOMEM;
	if (has_path(places, copy))
		free(copy);
	else
		places->paths[places->count++] = copy;
	return 0;
}

int places_new(int base_fd, const struct config *config, struct places **places_out,
	       struct error *err)
{
	const struct config_strings *more = &config->volume.more_directories;
	autoptr(places) places = calloc(1, sizeof(*places));
	int r = -ENOMEM;

	if (!places)
		return error_set(err, r, "no memory for the list of places");
	places->base_fd = -1;
	if (more->count >= PLACES_MAX)
		return error_set(err, -EINVAL,
				 "[volume] more_directories has more than %u places",
				 PLACES_MAX - 1);
	places->base_fd = fcntl(base_fd, F_DUPFD_CLOEXEC, 3);
	if (places->base_fd < 0)
		return error_set_errno(err, -errno, "folder of the archive");
	places->paths = calloc(more->count + 1, sizeof(*places->paths));
	if (places->paths)
		r = add_path(places, config->volume.directory);
	for (size_t i = 0; r == 0 && i < more->count; i++)
		r = add_path(places, more->items[i]);
	if (r < 0)
		return error_set(err, r, "no memory for the list of places");
	*places_out = take_ptr(places);
	return 0;
}

int places_base(const struct places *places)
{
	return places->base_fd;
}

size_t places_count(const struct places *places)
{
	return places->count;
}

const char *places_path(const struct places *places, size_t i)
{
	return places->paths[i];
}

static int stat_folder(const struct places *places, size_t i, struct stat *stat_out)
{
	if (fstatat(places->base_fd, places->paths[i], stat_out, 0) < 0)
		return -errno;
	return S_ISDIR(stat_out->st_mode) ? 0 : -ENOTDIR;
}

int places_stat(const struct places *places, size_t i, struct stat *stat_out)
{
	struct stat st, other;
	int r = stat_folder(places, i, &st);

	for (size_t j = 0; r == 0 && j < i; j++)
		if (stat_folder(places, j, &other) == 0 && other.st_dev == st.st_dev &&
		    other.st_ino == st.st_ino)
			r = -EEXIST;
	if (r == 0)
		*stat_out = st;
	return r;
}

/* Bytes of the folder's name in @path; 0: it has none. */
static size_t folder_size(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return 0;
	return slash == path ? 1 : (size_t)(slash - path);
}

size_t places_of(const struct places *places, const char *path)
{
	size_t size = folder_size(path);

	for (size_t i = 0; i < places->count; i++)
		if (strlen(places->paths[i]) == size &&
		    memcmp(places->paths[i], path, size) == 0)
			return i;
	return places->count;
}

bool places_same(const char *a, const char *b)
{
	size_t size = folder_size(a);

	return size == folder_size(b) && memcmp(a, b, size) == 0;
}

int places_check(const struct places *places, struct error *err)
{
	struct stat st;
	int first = places_stat(places, 0, &st);

	for (size_t i = 1; first < 0 && i < places->count; i++)
		if (places_stat(places, i, &st) == 0)
			return 0;
	if (first == -ENOENT)
		return error_set(
			err, -ENOMEDIUM,
			"there is no volume folder '%s': is its medium attached?",
			places->paths[0]);
	if (first < 0)
		return error_set_errno(err, first, "volume folder '%s'",
				       places->paths[0]);
	return 0;
}

bool places_medium(const struct places *places, struct statvfs *medium_out)
{
	for (size_t i = 0; i < places->count; i++) {
		autoclose int fd = openat(places->base_fd, places_path(places, i),
					  O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && fstatvfs(fd, medium_out) == 0)
			return true;
	}
	return false;
}

int places_join(const struct places *places, size_t i, const char *name, char **path_out)
{
	const char *path = places->paths[i];
	bool slash = path[strlen(path) - 1] == '/';

	if (asprintf(path_out, "%s%s%s", path, slash ? "" : "/", name) >= 0)
		return 0;
	*path_out = NULL; /* undefined after a failure */
	return -ENOMEM;
}

int places_sync_folder(int base_fd, const char *path, struct error *err)
{
	size_t size = folder_size(path);
	autofree char *folder = size > 0 ? strndup(path, size) : strdup(".");
	autoclose int fd = -1;

	if (!folder)
		return error_set(err, -ENOMEM, "no memory for a path");
	fd = openat(base_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, -errno, "folder of '%s'", path);
	return folder_sync(fd, err);
}
