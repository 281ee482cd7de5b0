/* SPDX-License-Identifier: MIT */
/* A preloaded library that makes files behave as if they lay on a bad disk, for tests. What
 * is wrong with a file stands in the folder BAD_MEDIUM, and may change at any time:
 *
 *   <name>.unreadable    "OFFSET SIZE" a line: reading any of these blocks fails with EIO,
 *                        until they are written
 *   <name>.held          while this is there, reads of the file wait
 *
 * <name> is the last component of the file's path. Blocks have 4 KiB. The library notes in
 * <name>.waiting, which it makes, that a read has begun to wait.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define WRITTEN_MAX 65536

typedef ssize_t read_call(int fd, void *data, size_t size, off_t offset);
typedef ssize_t write_call(int fd, const void *data, size_t size, off_t offset);

struct written {
	char name[64];
	off_t block; /* offset of a block that was written, so is readable again */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct written written[WRITTEN_MAX];
static size_t written_count;

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* The last component of the path of @fd; false if it is no file of interest. */
static bool name_of(int fd, char *name, size_t size)
{
	char link[64], path[PATH_MAX];
	const char *slash;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || !getenv("BAD_MEDIUM"))
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || strlen(slash) >= size)
		return false;
	(void)snprintf(name, size, "%s", slash + 1);
	return true;
}

static void note_path(const char *name, const char *what, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/%s.%s", getenv("BAD_MEDIUM"), name, what);
}

static void wait_while_held(const char *name)
{
	char held[PATH_MAX], waiting[PATH_MAX];
	bool told = false;

	note_path(name, "held", held, sizeof(held));
	note_path(name, "waiting", waiting, sizeof(waiting));
	while (access(held, F_OK) == 0) {
		if (!told)
			(void)close(open(waiting, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		told = true;
		(void)usleep(2000);
	}
}

static bool is_written(const char *name, off_t block)
{
	bool found = false;

	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; i < written_count && !found; i++)
		found = written[i].block == block && strcmp(written[i].name, name) == 0;
	(void)pthread_mutex_unlock(&lock);
	return found;
}

/* Whether a block between @start and @end is in this stretch, and was not written since. */
static bool bad_between(const char *name, off_t start, off_t end, off_t bad, off_t size)
{
	off_t first = (start > bad ? start : bad) / BLOCK * BLOCK;

	for (off_t block = first; block < bad + size && block < end; block += BLOCK)
		if (!is_written(name, block))
			return true;
	return false;
}

static bool unreadable(const char *name, off_t offset, size_t size)
{
	char path[PATH_MAX];
	long long bad, length;
	bool found = false;
	FILE *list;

	note_path(name, "unreadable", path, sizeof(path));
	list = fopen(path, "re");
	if (!list)
		return false;
	while (!found && fscanf(list, "%lld %lld", &bad, &length) == 2)
		found = bad_between(name, offset, offset + (off_t)size, bad, length);
	(void)fclose(list);
	return found;
}

static ssize_t do_read(const char *symbol, int fd, void *data, size_t size, off_t offset)
{
	read_call *call = (read_call *)next(symbol);
	char name[64];

	if (name_of(fd, name, sizeof(name))) {
		wait_while_held(name);
		if (unreadable(name, offset, size)) {
			errno = EIO;
			return -1;
		}
	}
	return call(fd, data, size, offset);
}

static ssize_t do_write(const char *symbol, int fd, const void *data, size_t size,
			off_t offset)
{
	write_call *call = (write_call *)next(symbol);
	ssize_t n = call(fd, data, size, offset);
	char name[64];

	if (n <= 0 || !name_of(fd, name, sizeof(name)))
		return n;
	(void)pthread_mutex_lock(&lock);
	for (off_t block = offset; block + BLOCK <= offset + n; block += BLOCK) {
		if (written_count == WRITTEN_MAX)
			abort();
		(void)snprintf(written[written_count].name, sizeof(name), "%s", name);
		written[written_count++].block = block;
	}
	(void)pthread_mutex_unlock(&lock);
	return n;
}

#define EXPORT __attribute__((visibility("default")))

EXPORT ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	return do_read("pread", fd, data, size, offset);
}

EXPORT ssize_t pread64(int fd, void *data, size_t size, off_t offset)
{
	return do_read("pread64", fd, data, size, offset);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return do_write("pwrite", fd, data, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return do_write("pwrite64", fd, data, size, offset);
}
