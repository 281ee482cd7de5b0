/* SPDX-License-Identifier: MIT */
/* large_catalog CATALOG PATH COUNT PER_FOLDER [linked]: make the last commit of a catalog
 * have COUNT more files, all like the one at PATH, as many/<n / PER_FOLDER>/<n>; or COUNT names
 * of one such file. Only the catalog knows of them: it is for tests of what a mount does with
 * more entries than there is time to commit.
 */
#include "base/error.h"
#include "base/text.h"
#include "catalog/entry.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_PER_TRANSACTION 500000u

struct maker {
	struct catalog *catalog;
	uint64_t sequence; /* of the last commit */
	unsigned long per_folder;
	bool linked; /* names of one file */
	struct error err;
};

/* The entry @path as it is now. */
static int load(struct maker *maker, const char *path, struct manifest *manifest_out)
{
	struct version_row row = { 0 };
	struct bytes key = { 0 };
	int r;

	r = key_from_path(path, &key, &maker->err);
	if (r == 0)
		r = catalog_get_version(maker->catalog, key.data, key.size,
					VERSION_CURRENT, &row, &maker->err);
	if (r == CATALOG_END)
		r = error_set(&maker->err, -ENOENT, "'%s' is not there", path);
	if (r == 0)
		r = manifest_decode(row.line, row.line_size, manifest_out, &maker->err);
	version_row_done(&row);
	free(key.data);
	return r;
}

/* Put an entry like @like at @path, as a name of @link (NULL: of nothing else). */
static int put(struct maker *maker, const struct manifest *like, const char *path,
	       uint64_t inode, const char *link)
{
	struct manifest manifest = *like;
	autotext struct text line = { 0 };
	struct bytes key = { 0 };
	int r;

	r = key_from_path(path, &key, &maker->err);
	if (r < 0)
		return r;
	manifest.key = key;
	manifest.version = 1;
	manifest.inode = inode;
	manifest.source = (struct bytes){ 0 };
	manifest.link =
		(struct bytes){ (uint8_t *)(uintptr_t)link, link ? strlen(link) : 0 };
	r = manifest_encode(&manifest, &line, &maker->err);
	if (r == 0)
		r = catalog_put_version(maker->catalog, maker->sequence, &manifest,
					line.data, line.size - 1, &maker->err);
	free(key.data);
	return r;
}

static int put_file(struct maker *maker, const struct manifest *file,
		    const struct manifest *folder, unsigned long n)
{
	char path[64];
	int r = 0;

	(void)snprintf(path, sizeof(path), "many/%05lu/%08lu", n / maker->per_folder, n);
	if (n % maker->per_folder == 0) {
		path[strlen("many/00000")] = '\0';
		r = put(maker, folder, path, UINT64_MAX / 2 + n, NULL);
		path[strlen("many/00000")] = '/';
	}
	if (r == 0 && maker->linked)
		return put(maker, file, path, UINT64_MAX / 4, "many/00000/00000000");
	return r < 0 ? r : put(maker, file, path, UINT64_MAX / 4 + n, NULL);
}

static int make(struct maker *maker, const char *path, unsigned long count)
{
	struct manifest file = { 0 };
	struct manifest folder = { .type = ENTRY_DIRECTORY, .mode = 0755 };
	int r;

	r = load(maker, path, &file);
	if (r == 0)
		r = catalog_begin(maker->catalog, &maker->err);
	if (r == 0)
		r = put(maker, &folder, "many", UINT64_MAX / 8, NULL);
	for (unsigned long n = 0; r == 0 && n < count; n++) {
		r = put_file(maker, &file, &folder, n);
		if (r == 0 && n % FILES_PER_TRANSACTION == FILES_PER_TRANSACTION - 1) {
			r = catalog_commit(maker->catalog, &maker->err);
			if (r == 0)
				r = catalog_begin(maker->catalog, &maker->err);
		}
	}
	manifest_done(&file);
	return r < 0 ? r : catalog_commit(maker->catalog, &maker->err);
}

int main(int argc, char **argv)
{
	autoptr(catalog) catalog = NULL;
	struct commit_row commit = { 0 };
	struct maker maker = { 0 };
	int r;

	if (argc < 5 || argc > 6 || strtoul(argv[4], NULL, 10) == 0)
		return 2;
	maker.linked = argc == 6 && strcmp(argv[5], "linked") == 0;
	maker.per_folder = strtoul(argv[4], NULL, 10);
	r = catalog_open(argv[1], &catalog, &maker.err);
	if (r == 0)
		r = catalog_get_commit(catalog, VERSION_CURRENT, &commit, &maker.err);
	maker.catalog = catalog;
	maker.sequence = commit.sequence;
	commit_row_done(&commit);
	if (r == 0)
		r = make(&maker, argv[2], strtoul(argv[3], NULL, 10));
	if (r != 0)
		(void)fprintf(stderr, "%s: %s\n", argv[1], maker.err.text);
	return r == 0 ? 0 : 1;
}
