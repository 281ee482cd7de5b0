/* SPDX-License-Identifier: MIT */
/* An entry is a file "<2 digits>/<62 digits>" of its bytes and the BLAKE3 of these, written
 * under another name and renamed. Nothing is flushed: after a crash an entry may be torn, and
 * its hash says so.
 *
 * An entry counts as the blocks that it takes, so that many small ones are few, too.
 *
 * The time of a file is when it was used last. When the folder has become too large, all
 * entries are listed, and the oldest ones go, until a tenth of the room is free. What other
 * processes put in is seen then.
 */
#include "remote/disk_cache.h"

#include "base/error.h"
#include "base/file.h"
#include "base/mutex.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE (HASH_HEX_SIZE + 1) /* with a slash and a NUL */
#define SHARDS 256u
#define BLOCK 4096u      /* bytes: of a file system, mostly */
#define LEFT_BEHIND 3600 /* seconds: what is half written for so long, nobody writes */

struct disk_cache {
	int folder_fd;
	uint64_t size_max;
	struct mutex mutex; /* guards all below */
	uint64_t size;      /* bytes, as far as known */
	bool cleaning;
};

static void name_of(const struct hash *hash, char name[NAME_SIZE])
{
	char hex[HASH_HEX_SIZE];

	hash_to_hex(hash, hex);
	(void)snprintf(name, NAME_SIZE, "%.2s/%s", hex, hex + 2);
}

static uint64_t room_of(uint64_t size)
{
	return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* Every entry that there is. */
struct found {
	char name[NAME_SIZE];
	uint64_t size;
	struct timespec used;
};

struct survey {
	struct found *entries; /* owned; NULL: only sizes are summed up */
	size_t count;
	size_t capacity;
	uint64_t size;
	bool sizes_only;
};

static int note_entry(struct survey *survey, unsigned shard, const char *file,
		      const struct stat *st)
{
	struct found *longer;
	struct found *entry;

	survey->size += room_of((uint64_t)st->st_size);
	if (survey->sizes_only || strlen(file) != HASH_HEX_SIZE - 3)
		return 0;
	if (survey->count == survey->capacity) {
		size_t capacity = survey->capacity ? 2 * survey->capacity : 1024;

		longer = reallocarray(survey->entries, capacity, sizeof(*longer));
		if (!longer)
			return -ENOMEM;
		survey->entries = longer;
		survey->capacity = capacity;
	}
	entry = &survey->entries[survey->count++];
	(void)snprintf(entry->name, sizeof(entry->name), "%02x/", shard & 0xff);
	memcpy(entry->name + 3, file, HASH_HEX_SIZE - 2);
	entry->size = room_of((uint64_t)st->st_size);
	entry->used = st->st_mtim;
	return 0;
}

static int survey_shard(const struct disk_cache *cache, unsigned shard,
			struct survey *survey)
{
	struct dirent *file;
	char name[4];
	int r = 0;
	DIR *dir;
	int fd;

	(void)snprintf(name, sizeof(name), "%02x", shard);
	fd = openat(cache->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (file = readdir(dir))) {
		struct stat st;

		if (fstatat(fd, file->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (file->d_name[0] != '.')
			r = note_entry(survey, shard, file->d_name, &st);
		else if (st.st_mtim.tv_sec < time(NULL) - LEFT_BEHIND)
			(void)unlinkat(fd, file->d_name, 0);
	}
	(void)closedir(dir);
	return r;
}

static int survey_all(const struct disk_cache *cache, struct survey *survey)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SHARDS; i++)
		r = survey_shard(cache, i, survey);
	return r;
}

int disk_cache_open(const char *directory, uint64_t size_max,
		    struct disk_cache **cache_out, struct error *err)
{
	autoptr(disk_cache) cache = calloc(1, sizeof(*cache));
	struct survey survey = { .sizes_only = true };
	int r;

	if (!cache)
		return error_set(err, -ENOMEM, "no memory for a cache");
	mutex_init(&cache->mutex);
	cache->folder_fd = -1;
	cache->size_max = size_max;
	r = mkdir_parents(AT_FDCWD, directory, 0700, err);
	if (r < 0)
		return error_prefix(err, r, "cache '%s'", directory);
	cache->folder_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cache->folder_fd < 0)
		return error_set_errno(err, -errno, "cache '%s'", directory);
	r = survey_all(cache, &survey);
	if (r < 0)
		return error_set_errno(err, r, "cache '%s'", directory);
	cache->size = survey.size;
	*cache_out = take_ptr(cache);
	return 0;
}

void disk_cache_free(struct disk_cache *cache)
{
	if (!cache)
		return;
	cleanup_close_p(&cache->folder_fd);
	mutex_done(&cache->mutex);
	free(cache);
}

/* Reading. */

int disk_cache_get(struct disk_cache *cache, const struct hash *name, size_t size_max,
		   uint8_t **data_out, size_t *size_out)
{
	autofree uint8_t *data = NULL;
	char file[NAME_SIZE];
	struct hash hash;
	size_t size = 0;

	name_of(name, file);
	if (file_read_all(cache->folder_fd, file, size_max + HASH_SIZE, &data, &size,
			  NULL) < 0)
		return -ENOENT;
	if (size >= HASH_SIZE)
		hash_bytes(data, size - HASH_SIZE, &hash);
	if (size < HASH_SIZE ||
	    memcmp(hash.bytes, data + size - HASH_SIZE, HASH_SIZE) != 0) {
		disk_cache_drop(cache, name);
		return -ENOENT;
	}
	(void)utimensat(cache->folder_fd, file, NULL, 0);
	*size_out = size - HASH_SIZE;
	*data_out = take_ptr(data);
	return 0;
}

void disk_cache_drop(struct disk_cache *cache, const struct hash *name)
{
	char file[NAME_SIZE];

	name_of(name, file);
	(void)unlinkat(cache->folder_fd, file, 0); /* the size is found out later */
}

/* Writing. */

static int older(const void *a, const void *b)
{
	const struct found *one = a;
	const struct found *other = b;

	if (one->used.tv_sec != other->used.tv_sec)
		return one->used.tv_sec < other->used.tv_sec ? -1 : 1;
	return (one->used.tv_nsec > other->used.tv_nsec) -
	       (one->used.tv_nsec < other->used.tv_nsec);
}

/* @size is what is to be written. */
static void remove_oldest(struct disk_cache *cache, size_t size)
{
	uint64_t most = cache->size_max - cache->size_max / 10;
	struct survey survey = { 0 };

	if (survey_all(cache, &survey) == 0 && survey.count > 0)
		qsort(survey.entries, survey.count, sizeof(*survey.entries), older);
	for (size_t i = 0; i < survey.count && survey.size > most; i++) {
		if (unlinkat(cache->folder_fd, survey.entries[i].name, 0) == 0)
			survey.size -= survey.entries[i].size;
	}
	free(survey.entries);
	mutex_scope(&cache->mutex);
	cache->size = survey.size + room_of(size);
	cache->cleaning = false;
}

/* Whether there is room, or the caller is the one to make it. */
static bool begin_cleaning(struct disk_cache *cache, size_t size)
{
	mutex_scope(&cache->mutex);

	cache->size += room_of(size);
	if (cache->size <= cache->size_max || cache->cleaning)
		return false;
	cache->cleaning = true;
	return true;
}

static int write_entry(int fd, const uint8_t *data, size_t size)
{
	struct hash hash;
	int r;

	hash_bytes(data, size, &hash);
	r = write_full(fd, data, size);
	return r < 0 ? r : write_full(fd, hash.bytes, HASH_SIZE);
}

void disk_cache_put(struct disk_cache *cache, const struct hash *name,
		    const uint8_t *data, size_t size)
{
	char file[NAME_SIZE];
	char other[64];
	autoclose int fd = -1;

	if (size > cache->size_max / 4)
		return;
	if (begin_cleaning(cache, size + HASH_SIZE))
		remove_oldest(cache, size + HASH_SIZE);
	name_of(name, file);
	(void)snprintf(other, sizeof(other), "%.3s.%d.%lx", file, (int)gettid(),
		       (unsigned long)name->bytes[1] << 8 | name->bytes[2]);
	fd = openat(cache->folder_fd, other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0600);
	if (fd < 0 && errno == ENOENT) {
		char shard[3] = { file[0], file[1], '\0' };

		(void)mkdirat(cache->folder_fd, shard, 0700);
		fd = openat(cache->folder_fd, other,
			    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return;
	if (write_entry(fd, data, size) < 0 ||
	    renameat(cache->folder_fd, other, cache->folder_fd, file) < 0)
		(void)unlinkat(cache->folder_fd, other, 0);
}
