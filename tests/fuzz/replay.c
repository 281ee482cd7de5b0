/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over every file of a folder: the corpus as an ordinary test, with
 * any compiler. A missing or empty folder is a failure, so that a lost corpus shows. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name)
{
	static uint8_t bytes[1 << 20];
	char path[4096];
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rbe");
	if (!f)
		return -1;
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(bytes, n);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	if (argc != 2)
		return 2;
	dir = opendir(argv[1]);
	if (!dir)
		return 1;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(argv[1], entry->d_name) < 0)
			return 1;
		count++;
	}
	(void)closedir(dir);
	return count ? 0 : 1;
}
