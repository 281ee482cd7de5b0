/* SPDX-License-Identifier: MIT */
/* Making an archive. config.toml comes last and is what makes a folder one; whatever a
 * killed init left before is recognised and made anew:
 *
 *     folder, lock                  nothing but names of ours: begin
 *     volume folder                 the same
 *     catalog                       made anew
 *     first volume, in parts        removed, if it can't hold a commit of somebody
 *     header and first head         likewise: it is all that there is
 *     config.toml                   an archive
 *
 * Removing is what could go wrong here, so a volume file goes only if its name is one of
 * ours, it is in the archive's own folder, and it has no record but these two (or none,
 * and is no larger than these two).
 */
#include "archive/archive.h"

#include "archive/active_volume.h"
#include "archive/head.h"
#include "archive/lock.h"
#include "archive/places.h"
#include "archive/volume_folder.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "catalog/history.h"
#include "catalog/placement.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_RECORDS 2 /* of a volume with nothing but the first head: header, commit */

struct init {
	const char *directory;
	const struct config *config;
	int folder_fd;
	struct places *places;
	struct budget *budget;
	struct pool *pool;
	struct catalog *catalog;
	struct hash archive_id;
	char *head; /* JSON of the first one */
};

static void init_done(struct init *init)
{
	free(init->head);
	catalog_free(init->catalog);
	pool_free(init->pool);
	budget_free(init->budget);
	places_free(init->places);
	cleanup_close_p(&init->folder_fd);
}

/* What is in the folder. */

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* The volume folder is, or is in, the archive's folder. */
static bool volumes_inside(const struct config *config)
{
	return config->volume.directory[0] != '/' &&
	       !has_prefix(config->volume.directory, "..");
}

/* Whether an interrupted init may have left @name. */
static bool is_own_name(const struct config *config, const char *name)
{
	size_t size = strcspn(config->volume.directory, "/");

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return true;
	if (volumes_inside(config) && strlen(name) == size &&
	    strncmp(name, config->volume.directory, size) == 0)
		return true;
	return strcmp(name, ARCHIVE_LOCK_FILE) == 0 ||
	       has_prefix(name, ARCHIVE_CATALOG_FILE) ||
	       has_prefix(name, "." ARCHIVE_CONFIG_FILE ".");
}

/* The first name in the folder that is not ours, or "" if there is none. */
static int find_other(int folder_fd, const struct config *config,
		      char name_out[NAME_MAX + 1])
{
	autoclose int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;
	int r;

	name_out[0] = 0;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	do {
		errno = 0;
		entry = readdir(dir);
		r = -errno;
	} while (entry && is_own_name(config, entry->d_name));
	if (entry)
		(void)snprintf(name_out, NAME_MAX + 1, "%s", entry->d_name);
	(void)closedir(dir); /* it was only read */
	return entry ? 0 : r;
}

static int check_folder(const struct init *init, struct error *err)
{
	char name[NAME_MAX + 1];
	int r;

	if (archive_exists(init->directory))
		return error_set(err, -EEXIST, "'%s' is an archive already",
				 init->directory);
	r = find_other(init->folder_fd, init->config, name);
	if (r < 0)
		return error_set_errno(err, r, "'%s'", init->directory);
	if (name[0])
		return error_set(err, -ENOTEMPTY, "'%s' is not empty: it has '%s'",
				 init->directory, name);
	return 0;
}

/* Leftovers. */

/* Bytes that a header and a commit stripe take at most, in small extents kept apart. */
static uint64_t first_stripes_size(const struct config *config)
{
	unsigned parity = config->parity.parity < 2 ? 2 : config->parity.parity;
	struct geometry geometry;

	geometry_init(&geometry, 1, parity, EXTENT_FRAMES_MIN, config->parity.spread);
	return FIRST_RECORDS * (1 + parity) * geometry.stride;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Whether the volume in @file can only be one that an interrupted init began. */
static bool is_leftover(const struct init *init, const struct volume_file *file)
{
	autoptr(backend) backend = NULL;
	autoptr(record) last = NULL;
	struct stripe_info own = { 0 };
	uint64_t end;

	if (!has_prefix(base_name(file->name), "0001-"))
		return false;
	if (file->state == VOLUME_FILE_UNSTARTED)
		return file->size <= first_stripes_size(init->config);
	if (file->state != VOLUME_FILE_GOOD ||
	    backend_file_open(init->folder_fd, file->name, 0, &backend, NULL) < 0 ||
	    chain_find_last(backend, &file->uuid, &last, &own, NULL) < 0)
		return false;
	end = own.offset + stripe_physical_size(&own);
	stripe_info_done(&own);
	return last->sequence < FIRST_RECORDS &&
	       file->size <= end + first_stripes_size(init->config) / FIRST_RECORDS;
}

static int remove_leftovers(const struct init *init, const struct volume_files *files,
			    struct error *err)
{
	for (size_t i = 0; i < files->count; i++) {
		if (!is_leftover(init, &files->items[i]))
			return error_set(
				err, -ENOTEMPTY,
				"there is a volume '%s' already: to use it, make an "
				"empty %s and rebuild the catalog",
				base_name(files->items[i].name), ARCHIVE_CONFIG_FILE);
	}
	for (size_t i = 0; i < files->count; i++) {
		const char *name = files->items[i].name;

		if (unlinkat(init->folder_fd, name, 0) < 0)
			return error_set_errno(err, -errno, "'%s'", name);
	}
	if (files->count == 0)
		return 0;
	return places_sync_folder(init->folder_fd, files->items[0].name, err);
}

static int open_volume_folder(struct init *init, struct error *err)
{
	autovolume_files struct volume_files files = { 0 };
	const char *name = init->config->volume.directory;
	int r;

	r = mkdir_parents(init->folder_fd, name, 0777, err);
	if (r < 0)
		return r;
	r = places_new(init->folder_fd, init->config, &init->places, err);
	if (r < 0)
		return r;
	crash_point("archive.init.folder");
	if (!volumes_inside(init->config))
		return 0; /* other archives may use it: what is not ours is ignored */
	r = volume_folder_scan(init->places, NULL, &files, err);
	if (r < 0)
		return r;
	return remove_leftovers(init, &files, err);
}

/* The parts of an archive. */

static int make_first_head(struct init *init, struct error *err)
{
	int64_t now = clock_realtime_ns();
	struct head head = {
		.time.seconds = now / (int64_t)NS_PER_SECOND,
		.time.nanoseconds = (uint32_t)(now % (int64_t)NS_PER_SECOND),
	};
	int r;

	r = random_bytes(head.nonce, sizeof(head.nonce), err);
	if (r < 0)
		return r;
	r = head_encode(&head, &init->head, err);
	if (r < 0)
		return r;
	init->archive_id = head.hash;
	return 0;
}

static int make_catalog(struct init *init, struct error *err)
{
	autofree char *path = NULL;

	if (asprintf(&path, "%s/%s", init->directory, ARCHIVE_CATALOG_FILE) < 0) {
		path = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory to make a catalog");
	}
	return catalog_create(path, &init->archive_id, &init->catalog, err);
}

/* The last component of the folder's path. */
static int folder_name(const char *directory, char **name_out)
{
	autofree char *path = realpath(directory, NULL);
	const char *slash = path ? strrchr(path, '/') : NULL;

	*name_out = strdup(slash && slash[1] ? slash + 1 : "archive");
	return *name_out ? 0 : -ENOMEM;
}

static int write_volume(struct init *init, const char *label, struct error *err)
{
	const struct volume_writing writing = {
		.places = init->places,
		.archive_id = init->archive_id,
		.config = init->config,
		.budget = init->budget,
		.pool = init->pool,
		.catalog = init->catalog,
		.tiered = init->config->parity.policy == CONFIG_POLICY_TIERED,
		.data = init->config->parity.data,
		.parity = init->config->parity.parity,
	};
	autoptr(active_volume) active = NULL;
	int r;

	r = volume_writing_check(&writing, err);
	if (r < 0)
		return r;
	r = active_volume_create(&writing,
				 &(struct volume_plan){ .number = 1, .label = label },
				 &active, err);
	if (r < 0)
		return r;
	return log_write_record(active->writer, STRIPE_COMMIT, false, init->head, NULL,
				err);
}

/* The first volume, and what the catalog is to know of it. */
static int make_volume(struct init *init, const char *label, struct error *err)
{
	autofree char *name = NULL;
	int r;

	r = folder_name(init->directory, &name);
	if (r < 0)
		return error_set(err, r, "no memory for a label");
	r = catalog_begin(init->catalog, err);
	if (r < 0)
		return r;
	r = write_volume(init, label ? label : name, err);
	if (r < 0)
		return r;
	crash_point("archive.init.volume");
	r = catalog_put_commit(init->catalog, 0, &init->archive_id, init->head, err);
	if (r < 0)
		return r;
	r = catalog_commit(init->catalog, err);
	if (r < 0)
		return r;
	catalog_free(take_ptr(init->catalog));
	crash_point("archive.init.catalog");
	return folder_sync(init->folder_fd, err);
}

static int append_quoted(struct text *text, const char *string)
{
	int r = text_append_char(text, '"');

	for (const char *p = string; r == 0 && *p; p++) {
		if (*p == '"' || *p == '\\')
			r = text_append_char(text, '\\');
		if (r == 0)
			r = text_append_char(text, *p);
	}
	return r < 0 ? r : text_append(text, "\"\n");
}

/* Where volumes lie, and how many. What has its default is left out, but for the first
 * place. */
static int format_places(const struct config *config, struct text *text)
{
	const struct config_strings *more = &config->volume.more_directories;
	int r = text_append(text, "directory = ");

	if (r == 0)
		r = append_quoted(text, config->volume.directory);
	for (size_t i = 0; r == 0 && i < more->count; i++) {
		r = text_append(text, i ? "  " : "more_directories = [\n  ");
		if (r == 0)
			r = append_quoted(text, more->items[i]);
		if (r == 0) { /* the comma in front of the newline */
			text_truncate(text, text->size - 1);
			r = text_append(text, i + 1 < more->count ? ",\n" : "\n]\n");
		}
	}
	if (r == 0 && config->volume.copies > 1)
		r = text_appendf(text, "copies = %" PRIu32 "\nmin_copies = %" PRIu32 "\n",
				 config->volume.copies, config->volume.min_copies);
	return r;
}

/* The settings that belong to this archive and not to the machine. */
static int format_config(const struct config *config, struct text *text)
{
	char spread[SIZE_TEXT_MAX], frame[SIZE_TEXT_MAX], volume[SIZE_TEXT_MAX];
	char burst[SIZE_TEXT_MAX], from[SIZE_TEXT_MAX];
	char code[CONFIG_CODE_TEXT_MAX];
	int r;

	r = text_appendf(
		text,
		"# Settings of this archive. What is not set here has its default;\n"
		"# all settings are explained in blockframe.toml(5).\n\n"
		"[parity]\npolicy = \"%s\"\ndata = %" PRIu32 "\nparity = %" PRIu32
		"\nspread = \"%s\"\nburst = \"%s\"\nburst_from = \"%s\"\nburst_data = "
		"%" PRIu32 "\n\n[compression]\nlevel = %" PRId32
		"\nframe_size = \"%s\"\n\n[volume]\nmax_size = \"%s\"\n",
		config->parity.policy == CONFIG_POLICY_TIERED ? "tiered" : "compact",
		config->parity.data, config->parity.parity,
		size_format_exact(config->parity.spread, spread),
		size_format_exact(config->parity.burst, burst),
		size_format_exact(config->parity.burst_from, from),
		config->parity.burst_data, config->compression.level,
		size_format_exact(config->compression.frame_size, frame),
		size_format_exact(config->volume.max_size, volume));
	if (r == 0 && config->volume.outer.data > 0)
		r = text_appendf(text, "outer = \"%s\"\nprotect = \"%s\"\n",
				 config_code_format(&config->volume.outer, code),
				 config->volume.protect == CONFIG_PROTECT_COMMIT
					 ? "commit"
					 : "manual");
	return r < 0 ? r : format_places(config, text);
}

static int write_config(struct init *init, struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = format_config(init->config, &text);
	if (r < 0)
		return error_set(err, r, "no memory for %s", ARCHIVE_CONFIG_FILE);
	return file_replace(init->folder_fd, ARCHIVE_CONFIG_FILE, text.data, text.size,
			    0666, err);
}

static int open_folder(struct init *init, struct error *err)
{
	int r;

	r = mkdir_parents(AT_FDCWD, init->directory, 0777, err);
	if (r < 0)
		return r;
	init->folder_fd = open(init->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (init->folder_fd < 0)
		return error_set_errno(err, -errno, "'%s'", init->directory);
	return check_folder(init, err);
}

static int make_all(struct init *init, const char *label, struct error *err)
{
	int r;

	r = open_volume_folder(init, err);
	if (r < 0)
		return r;
	r = budget_new(init->config->limits.memory, &init->budget);
	if (r < 0)
		return error_set(err, r, "no memory to make an archive");
	r = pool_new(config_jobs(init->config), &init->pool, err);
	if (r == 0)
		r = make_first_head(init, err);
	if (r == 0)
		r = make_catalog(init, err);
	if (r == 0)
		r = make_volume(init, label, err);
	if (r == 0)
		r = write_config(init, err);
	return r;
}

int archive_init(const char *directory, const struct config *config, const char *label,
		 struct error *err)
{
	struct init init __attribute__((__cleanup__(init_done))) = {
		.directory = directory,
		.config = config,
		.folder_fd = -1,
	};
	autoclose int lock_fd = -1;
	int r;

	r = open_folder(&init, err);
	if (r < 0)
		return r;
	r = lock_take(init.folder_fd, false, &lock_fd, err);
	if (r < 0)
		return r;
	r = check_folder(&init, err); /* again: another init may have just ended */
	return r < 0 ? r : make_all(&init, label, err);
}
