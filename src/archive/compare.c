/* SPDX-License-Identifier: MIT */
/* The catalog is walked depth first, and each entry is looked for on disk. What is only on
 * disk shows when a folder is done: if it has as many names as were found of the archive's,
 * there are no others; else each of its names is looked up in the catalog. So no listing is
 * ever held in memory or sorted: memory grows with depth only, and a folder without new
 * names costs one more readdir().
 *
 * One folder is open at a time. Coming back from a subfolder, the one above is opened again
 * by its path below the top, without following symlinks; each name is then looked at
 * relative to it.
 */
#include "archive/compare.h"

#include "archive/archive.h"
#include "archive/attributes.h"
#include "archive/compare_entry.h"
#include "archive/compare_queue.h"
#include "archive/known_content.h"
#include "archive/own_folders.h"
#include "archive/source_file.h"
#include "base/error.h"
#include "base/text.h"
#include "catalog/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A folder that is in both and that the walk is in. */
struct level {
	size_t key_size; /* of the folder */
	uint64_t found;  /* names of the archive that are on disk too */
};

struct compare {
	struct archive *archive;
	const struct compare_options *options;
	struct compare_queue *queue;
	struct own_folders own; /* which no commit enters */

	int top_fd;     /* of the folder that holds what is compared */
	char *top_name; /* in it; owned */

	struct level *levels; /* owned; outermost first */
	size_t level_count;
	size_t level_capacity;
	uint8_t key[MANIFEST_KEY_MAX]; /* of the innermost level */
	int folder_fd;                 /* the innermost level's folder, or -1 */
};

/* Paths and folders. */

/* The path on disk, relative to top_fd, of the entry @key. */
static int append_disk_path(const struct compare *compare, const uint8_t *key,
			    size_t key_size, struct text *path)
{
	size_t skip = compare->options->key.size;

	if (text_append(path, compare->top_name) < 0)
		return -ENOMEM;
	if (key_size > skip && skip == 0 && text_append_char(path, '/') < 0)
		return -ENOMEM;
	for (size_t i = skip; i < key_size; i++)
		if (text_append_char(path, key[i] ? (char)key[i] : '/') < 0)
			return -ENOMEM;
	return 0;
}

static int open_below(int dirfd, const char *path, int *fd_out)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* old kernel, or a sandbox */
		fd = openat(dirfd, path, (int)how.flags);
	if (fd < 0)
		return -errno;
	*fd_out = (int)fd;
	return 0;
}

static void close_folder(struct compare *compare)
{
	cleanup_close_p(&compare->folder_fd);
	compare->folder_fd = -1;
}

/* The folder of the innermost level is open. */
static int open_folder(struct compare *compare)
{
	const struct level *level = &compare->levels[compare->level_count - 1];
	autotext struct text path = { 0 };

	if (compare->folder_fd >= 0)
		return 0;
	if (append_disk_path(compare, compare->key, level->key_size, &path) < 0)
		return -ENOMEM;
	return open_below(compare->top_fd, text_string(&path), &compare->folder_fd);
}

/* Queue what was found about the entry @key. */
static int found(struct compare *compare, enum compare_kind kind, const uint8_t *key,
		 size_t key_size, unsigned attributes, const struct error *why,
		 struct error *err)
{
	char *path;

	if (key_to_path(key, key_size, &path) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	return compare_queue_finding(compare->queue, kind, path, attributes, why, err);
}

static int unreadable(struct compare *compare, const uint8_t *key, size_t key_size, int r,
		      const char *action, struct error *err)
{
	struct error why = { 0 };

	if (r == -ENOMEM)
		return error_set(err, r, "out of memory");
	(void)error_set_errno(&why, r, "%s", action);
	return found(compare, COMPARE_UNREADABLE, key, key_size, 0, &why, err);
}

/* What is only on disk. */

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_own(const struct compare *compare, const char *name)
{
	struct stat st;

	return fstatat(compare->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       own_folders_has(&compare->own, &st);
}

/* Report @name, which is on disk in the innermost folder, if the archive lacks it. */
static int look_up(struct compare *compare, const struct level *level, const char *name,
		   struct error *err)
{
	autotext struct text key = { 0 };
	struct version_row row = { 0 };
	int r;

	if ((level->key_size > 0 &&
	     (text_append_bytes(&key, compare->key, level->key_size) < 0 ||
	      text_append_char(&key, '\0') < 0)) ||
	    text_append(&key, name) < 0)
		return error_set(err, -ENOMEM, "out of memory");
	r = catalog_get_version(archive_catalog(compare->archive),
				(const uint8_t *)key.data, key.size, compare->options->at,
				&row, err);
	version_row_done(&row);
	if (r != CATALOG_END)
		return r;
	if (is_own(compare, name))
		return 0;
	return found(compare, COMPARE_NEW, (const uint8_t *)key.data, key.size, 0, NULL,
		     err);
}

/* Count the innermost folder's names on disk, or look each one up. */
static int read_names(struct compare *compare, const struct level *level, bool look,
		      uint64_t *count_out, struct error *err)
{
	int fd = openat(compare->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int failure = directory ? 0 : -errno;
	int r = 0;

	*count_out = 0;
	if (!directory)
		cleanup_close_p(&fd);
	while (directory && r == 0) {
		errno = 0;
		entry = readdir(directory);
		failure = -errno;
		if (!entry)
			break;
		if (is_dot(entry->d_name))
			continue;
		(*count_out)++;
		if (look)
			r = look_up(compare, level, entry->d_name, err);
	}
	if (directory)
		(void)closedir(directory);
	if (r == 0 && failure < 0)
		r = unreadable(compare, compare->key, level->key_size, failure,
			       "read the folder", err);
	return r;
}

/* Levels. */

/* Go into the folder @key. 0, or WALK_SKIP if it can't be read, which was reported. */
static int enter_level(struct compare *compare, const uint8_t *key, size_t key_size,
		       struct error *err)
{
	int r;

	if (compare->level_count == compare->level_capacity) {
		size_t capacity = compare->level_capacity * 2 + 16;
		struct level *levels =
			reallocarray(compare->levels, capacity, sizeof(*levels));

		if (!levels)
			return error_set(err, -ENOMEM, "out of memory");
		compare->levels = levels;
		compare->level_capacity = capacity;
	}
	close_folder(compare);
	compare->levels[compare->level_count++] = (struct level){ .key_size = key_size };
	if (key_size > 0)
		memcpy(compare->key, key, key_size);
	r = open_folder(compare);
	if (r == 0)
		return 0;
	compare->level_count--;
	r = unreadable(compare, key, key_size, r, "open the folder", err);
	return r < 0 ? r : WALK_SKIP;
}

/* Everything of the archive in the innermost folder was visited. */
static int leave_level(struct compare *compare, struct error *err)
{
	const struct level *level = &compare->levels[compare->level_count - 1];
	uint64_t count;
	int r;

	r = open_folder(compare);
	if (r < 0) {
		r = unreadable(compare, compare->key, level->key_size, r,
			       "open the folder", err);
	} else {
		r = read_names(compare, level, false, &count, err);
		if (r == 0 && count != level->found)
			r = read_names(compare, level, true, &count, err);
	}
	compare->level_count--;
	close_folder(compare);
	return r;
}

static bool is_below(const struct compare *compare, const struct level *level,
		     const uint8_t *key, size_t key_size)
{
	if (level->key_size == 0)
		return true;
	return key_size > level->key_size && key[level->key_size] == '\0' &&
	       memcmp(key, compare->key, level->key_size) == 0;
}

/* Leave the folders that the entry @key is not in. */
static int leave_levels(struct compare *compare, const uint8_t *key, size_t key_size,
			struct error *err)
{
	int r = 0;

	while (r == 0 && compare->level_count > 0 &&
	       !is_below(compare, &compare->levels[compare->level_count - 1], key,
			 key_size))
		r = leave_level(compare, err);
	return r;
}

/* Entries. */

struct place {
	int dirfd; /* borrowed */
	char name[NAME_MAX + 1];
	struct stat stat;
};

/* Find the entry on disk. -errno: it can't be looked at. */
static int find_place(struct compare *compare, const uint8_t *key, size_t key_size,
		      struct place *place)
{
	size_t start = key_size;
	int r;

	if (key_size == compare->options->key.size) {
		place->dirfd = compare->top_fd;
		(void)snprintf(place->name, sizeof(place->name), "%s", compare->top_name);
	} else {
		r = open_folder(compare);
		if (r < 0)
			return r;
		while (start > 0 && key[start - 1] != '\0')
			start--;
		if (key_size - start > NAME_MAX)
			return -ENAMETOOLONG;
		place->dirfd = compare->folder_fd;
		memcpy(place->name, key + start, key_size - start);
		place->name[key_size - start] = '\0';
	}
	if (fstatat(place->dirfd, place->name, &place->stat, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* Compare a file's content on a worker; its other @attributes are known. If it is @known, too,
 * only the archive's side is read. */
static int queue_content(struct compare *compare, const struct place *place,
			 const struct manifest *manifest, bool known, unsigned attributes,
			 struct error *err)
{
	const struct bytes *key = &manifest->key;
	char *path;
	int fd = -1;
	int r;

	r = known ? 0 : source_file_open(place->dirfd, place->name, &fd);
	if (r < 0)
		return unreadable(compare, key->data, key->size, r, "open", err);
	if (key_to_path(key->data, key->size, &path) < 0) {
		cleanup_close_p(&fd);
		return error_set(err, -ENOMEM, "out of memory");
	}
	return compare_queue_content(compare->queue, path, fd, manifest, attributes, err);
}

/* Compare the entry with @place. WALK_SKIP: nothing below it can be compared. */
static int compare_place(struct compare *compare, const struct place *place,
			 const struct manifest *manifest, struct error *err)
{
	const struct bytes *key = &manifest->key;
	unsigned attributes = 0;
	struct hash hash;
	bool known;
	int r;

	known = known_content_find(compare->options->known, place->dirfd, place->name,
				   &place->stat, &hash);
	r = compare_entry(manifest, place->dirfd, place->name, &place->stat, known,
			  &attributes);
	if (known && manifest->type == ENTRY_FILE && !hash_equal(&hash, &manifest->hash))
		attributes |= COMPARE_CONTENT;
	if (r < 0)
		r = unreadable(compare, key->data, key->size, r, "read attributes", err);
	else if (manifest->type == ENTRY_FILE && compare->options->content &&
		 !(attributes & (COMPARE_TYPE | COMPARE_SIZE)))
		r = queue_content(compare, place, manifest, known, attributes, err);
	else
		r = found(compare, COMPARE_CHANGED, key->data, key->size, attributes,
			  NULL, err);
	if (r < 0 || manifest->type != ENTRY_DIRECTORY)
		return r;
	if (attributes & COMPARE_TYPE)
		return WALK_SKIP;
	return enter_level(compare, key->data, key->size, err);
}

static int visit(void *context, const uint8_t *key, size_t key_size,
		 const struct version_row *row, struct error *err)
{
	struct compare *compare = context;
	const atomic_bool *cancel = compare->options->cancel;
	struct manifest manifest = { 0 };
	struct place place;
	int r;

	if (cancel && atomic_load(cancel))
		return error_set(err, -EINTR, "interrupted");
	r = leave_levels(compare, key, key_size, err);
	if (r < 0)
		return r;
	r = find_place(compare, key, key_size, &place);
	if (r == -ENOENT)
		r = found(compare, COMPARE_GONE, key, key_size, 0, NULL, err);
	else if (r < 0)
		r = unreadable(compare, key, key_size, r, "look at it", err);
	else
		r = 1;
	if (r <= 0)
		return r < 0 ? r : WALK_SKIP;

	if (compare->level_count > 0)
		compare->levels[compare->level_count - 1].found++;
	r = manifest_decode(row->line, row->line_size, &manifest, err);
	if (r == 0)
		r = compare_place(compare, &place, &manifest, err);
	manifest_done(&manifest);
	return r;
}

/* Beginning and end. */

/* Open the folder that holds what is to be compared, and find its name in there. */
static int open_top(struct compare *compare, struct error *err)
{
	const char *disk = compare->options->disk;
	autofree char *parent = strdup(disk);
	char *slash;

	if (!parent)
		return error_set(err, -ENOMEM, "out of memory");
	slash = strrchr(parent, '/');
	if (!slash || slash[1] == '\0' || is_dot(slash + 1)) {
		compare->top_name = strdup(".");
	} else {
		compare->top_name = strdup(slash + 1);
		slash[slash == parent] = '\0';
	}
	if (!compare->top_name)
		return error_set(err, -ENOMEM, "out of memory");
	compare->top_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (compare->top_fd < 0)
		return error_set_errno(err, -errno, "'%s'", parent);
	if (faccessat(compare->top_fd, compare->top_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, -errno, "'%s'", disk);
	return 0;
}

static int walk(struct compare *compare, struct error *err)
{
	const struct compare_options *options = compare->options;
	int r = 0;

	if (options->key.size == 0)
		r = enter_level(compare, NULL, 0, err);
	if (r == 0)
		r = catalog_walk(archive_catalog(compare->archive), options->key.data,
				 options->key.size, options->at, visit, compare, err);
	while (r >= 0 && compare->level_count > 0)
		r = leave_level(compare, err);
	return r < 0 ? r : compare_queue_flush(compare->queue, err);
}

int compare_run(struct archive *archive, const struct compare_options *options,
		struct compare_summary *summary_out, struct error *err)
{
	struct compare compare = {
		.archive = archive, .options = options, .top_fd = -1, .folder_fd = -1
	};
	int r;

	*summary_out = (struct compare_summary){ 0 };
	own_folders_of(archive, &compare.own);
	r = open_top(&compare, err);
	if (r == 0)
		r = compare_queue_new(archive, options, summary_out, &compare.queue, err);
	if (r == 0)
		r = walk(&compare, err);
	compare_queue_free(compare.queue);
	cleanup_close_p(&compare.folder_fd);
	cleanup_close_p(&compare.top_fd);
	free(compare.top_name);
	free(compare.levels);
	return r;
}
