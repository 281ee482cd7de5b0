/* SPDX-License-Identifier: MIT */
/* Holes are asked for once, before the file is read: a file that is written to in between
 * is noticed by its times, like any other change.
 *
 * The list is bounded by dropping the smallest holes: when it is full, those below a
 * threshold go and the threshold doubles. What is dropped is read as the zeroes it is and
 * takes space when it is restored; nothing else is lost.
 *
 * Kernels before 6.13 stamp files with a clock that ticks every 1 to 10 ms. A file that is
 * changed again within the tick of its last change keeps its times, and if it was read in
 * between, nobody would ever notice: so it is read in a later tick.
 */
#include "archive/source_file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TICK_MAX 20 /* milliseconds; of CONFIG_HZ=100 it is 10 */

int source_file_open(int dirfd, const char *name, int *fd_out)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dirfd, name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM) /* O_NOATIME is for owners */
		fd = openat(dirfd, name, flags);
	if (fd < 0)
		return -errno;
	*fd_out = fd;
	return 0;
}

void source_file_settle(const struct stat *stat)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const struct timespec *stamp = &stat->st_ctim;
	struct timespec now;

	for (int i = 0; i < TICK_MAX; i++) {
		if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0 ||
		    now.tv_sec > stamp->tv_sec ||
		    (now.tv_sec == stamp->tv_sec && now.tv_nsec > stamp->tv_nsec) ||
		    stamp->tv_sec > now.tv_sec + 1)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

bool holes_likely(const struct stat *stat)
{
	return stat->st_size > 0 &&
	       (uint64_t)stat->st_blocks * 512 < (uint64_t)stat->st_size;
}

void holes_done(struct holes *holes)
{
	free(holes->items);
	*holes = (struct holes){ 0 };
}

/* Forget the holes shorter than @threshold. */
static void drop_small(struct holes *holes, uint64_t threshold)
{
	size_t kept = 0;

	for (size_t i = 0; i < holes->count; i++)
		if (holes->items[i].size >= threshold)
			holes->items[kept++] = holes->items[i];
	holes->count = kept;
}

struct collector {
	struct holes holes;
	size_t capacity;
	uint64_t threshold; /* bytes: shorter ones are left out */
};

static int collect(struct collector *collector, uint64_t offset, uint64_t size)
{
	struct holes *holes = &collector->holes;

	while (holes->count == HOLES_MAX) {
		collector->threshold = collector->threshold * 2 + 1;
		drop_small(holes, collector->threshold);
	}
	if (size < collector->threshold)
		return 0;
	if (holes->count == collector->capacity) {
		size_t capacity = collector->capacity ? collector->capacity * 2 : 8;
		void *items =
			reallocarray(holes->items, capacity, sizeof(holes->items[0]));

		if (!items)
			return -ENOMEM;
		holes->items = items;
		collector->capacity = capacity;
	}
	holes->items[holes->count++] = (struct manifest_hole){ offset, size };
	return 0;
}

/* The next hole at or behind @offset as [*start_out, *end_out); false if there is none. */
static bool next_hole(int fd, uint64_t offset, uint64_t size, uint64_t *start_out,
		      uint64_t *end_out)
{
	off_t start = lseek(fd, (off_t)offset, SEEK_HOLE);
	off_t end;

	if (start < 0 || (uint64_t)start >= size)
		return false;
	end = lseek(fd, start, SEEK_DATA);
	if (end < 0 && errno != ENXIO)
		return false;
	*start_out = (uint64_t)start;
	*end_out = end < 0 || (uint64_t)end > size ? size : (uint64_t)end;
	return *end_out > *start_out;
}

int holes_read(int fd, uint64_t size, struct holes *holes_out)
{
	struct collector collector = { 0 };
	uint64_t offset = 0;
	uint64_t end;

	while (offset < size && next_hole(fd, offset, size, &offset, &end)) {
		int r = collect(&collector, offset, end - offset);

		if (r < 0) {
			holes_done(&collector.holes);
			return r;
		}
		offset = end;
	}
	*holes_out = collector.holes;
	return 0;
}

bool holes_contain(const struct holes *holes, uint64_t offset, uint64_t size)
{
	size_t low = 0;
	size_t high = holes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct manifest_hole *hole = &holes->items[middle];

		if (hole->offset + hole->size <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < holes->count && holes->items[low].offset <= offset &&
	       offset + size <= holes->items[low].offset + holes->items[low].size;
}
