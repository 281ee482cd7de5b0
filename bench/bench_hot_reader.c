/* SPDX-License-Identifier: MIT */
/* How fast files can be opened and read that are in the page cache, for bench/tier.py:
 *
 *     bench_hot_reader open FOLDER       open, read 4 KiB and close each file f0, f1, ...
 *     bench_hot_reader pread FILE        4 KiB at random places
 *     bench_hot_reader sequential FILE   64 KiB after 64 KiB, from the start again at the end
 *
 * prints what it did in a second: files, reads, or bytes.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DURATION 0.5 /* seconds */
#define FILES_MAX 100000
#define BATCH 256 /* operations between looks at the clock */

static char buffer[65536];

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t open_next(const char *folder, int *next)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/f%d", folder, *next);
	fd = open(path, O_RDONLY);
	if (fd < 0 && *next > 0) {
		*next = 0;
		return 0;
	}
	if (fd < 0 || read(fd, buffer, 4096) < 0)
		exit(1);
	(void)close(fd);
	*next = (*next + 1) % FILES_MAX;
	return 1;
}

static uint64_t read_random(int fd, uint64_t pages)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	if (pread(fd, buffer, 4096, (off_t)(state % pages * 4096)) != 4096)
		exit(1);
	return 1;
}

static uint64_t read_next(int fd)
{
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0)
		exit(1);
	if (n == 0)
		(void)lseek(fd, 0, SEEK_SET);
	return (uint64_t)n;
}

int main(int count, char **words)
{
	const char *kind = count == 3 ? words[1] : "";
	struct stat stat = { 0 };
	uint64_t done = 0;
	int next = 0;
	int fd = count == 3 ? open(words[2], O_RDONLY) : -1;
	double start = now(), end;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return 1;
	do {
		for (int i = 0; i < BATCH; i++) {
			if (strcmp(kind, "open") == 0)
				done += open_next(words[2], &next);
			else if (strcmp(kind, "pread") == 0)
				done += read_random(fd, (uint64_t)stat.st_size / 4096);
			else
				done += read_next(fd);
		}
		end = now();
	} while (end - start < DURATION);
	(void)printf("%.0f\n", (double)done / (end - start));
	return 0;
}
