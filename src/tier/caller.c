/* SPDX-License-Identifier: MIT */
#include "tier/caller.h"

#include "base/cleanup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELETED \
	" (deleted)" /* the kernel says of a program whose file is another one now */

uid_t caller_user(pid_t pid)
{
	char path[32];
	struct stat stat_;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return pid > 0 && stat(path, &stat_) == 0 ? stat_.st_uid : CALLER_UNKNOWN;
}

static bool program_of(pid_t pid, char program[PATH_MAX])
{
	char link[32];
	size_t size, end = strlen(DELETED);
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, program, PATH_MAX - 1);
	if (n <= 0)
		return false;
	size = (size_t)n;
	program[size] = '\0';
	if (size > end && strcmp(program + size - end, DELETED) == 0)
		program[size - end] = '\0';
	return true;
}

bool caller_runs(pid_t pid, char *const *paths, size_t count)
{
	char program[PATH_MAX];

	if (count == 0 || pid <= 0 || !program_of(pid, program))
		return false;
	for (size_t i = 0; i < count; i++) {
		autofree char *path = realpath(paths[i], NULL);

		if (strcmp(path ? path : paths[i], program) == 0)
			return true;
	}
	return false;
}
