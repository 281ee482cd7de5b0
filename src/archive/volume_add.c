/* SPDX-License-Identifier: MIT */
/* A file that is not what it should be would make the next writer stop (-ESTALE), or would be
 * passed over without a word. So every volume file in the folder is looked at before the
 * folder becomes a place, and one that is wrong keeps it from that. What is no volume at all
 * is nobody's business; volume_scan.h tells of it.
 *
 * The only durable step is the replacing of config.toml: before it nothing has happened, and
 * after it the next opening takes the volumes in.
 */
#include "archive/volume_add.h"

#include "archive/archive.h"
#include "archive/places.h"
#include "archive/volume_folder.h"
#include "archive/volume_list.h"
#include "archive/volume_scan.h"
#include "archive/volume_set.h"
#include "base/config.h"
#include "base/config_list.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void volume_add_report_done(struct volume_add_report *report)
{
	free(report->place);
	*report = (struct volume_add_report){ 0 };
}

/* ---- the folder ---- */

/* The folder that @path is or lies in, as an absolute path without symbolic links, and the
 * file's name in it, or NULL if it is a folder. The caller frees both. */
static int find_folder(const char *path, char **folder_out, char **file_out,
		       struct error *err)
{
	autofree char *real = realpath(path, NULL);
	struct stat st;
	char *slash;

	if (!real || stat(real, &st) < 0)
		return error_set_errno(err, -errno, "'%s'", path);
	if (S_ISREG(st.st_mode)) {
		slash = strrchr(real, '/');
		*file_out = strdup(slash + 1);
		if (!*file_out)
			return error_set(err, -ENOMEM, "no memory for a path");
		slash[slash == real] = '\0'; /* the root keeps its slash */
	} else if (!S_ISDIR(st.st_mode)) {
		return error_set(err, -ENOTDIR, "'%s' is no folder and no file", path);
	}
	*folder_out = take_ptr(real);
	return 0;
}

/* Compare the folder with the places that there are. */
static int compare_places(const struct places *places, struct volume_add_report *report,
			  struct error *err)
{
	struct stat folder, st;

	if (stat(report->place, &folder) < 0)
		return error_set_errno(err, -errno, "'%s'", report->place);
	for (size_t i = 0; i < places_count(places); i++) {
		if (places_stat(places, i, &st) < 0)
			continue;
		report->same_disk |= st.st_dev == folder.st_dev;
		report->is_place |=
			st.st_dev == folder.st_dev && st.st_ino == folder.st_ino;
	}
	if (!report->is_place && places_count(places) >= PLACES_MAX)
		return error_set(err, -EINVAL, "an archive has %u places at most",
				 PLACES_MAX);
	return 0;
}

/* ---- what lies in it ---- */

struct check {
	struct archive *archive;
	struct volume_list volumes;
	struct volume_files files;
};

static void check_done(struct check *check)
{
	volume_list_done(&check->volumes);
	volume_files_done(&check->files);
}

/* Identify all volume files in the folder. */
static int look_into(struct check *check, const char *folder, struct error *err)
{
	struct config config = { 0 };
	autoptr(places) places = NULL;
	struct hash id;
	int r;

	config.volume.directory = (char *)(uintptr_t)folder; /* only read */
	archive_id(check->archive, &id);
	r = places_new(archive_folder(check->archive), &config, &places, err);
	if (r == 0)
		r = volume_folder_scan(places, &id, &check->files, err);
	if (r == 0)
		r = volume_list_load(archive_catalog(check->archive), &check->volumes,
				     err);
	return r;
}

/* @file is a volume that the catalog knows. */
static int check_known(const struct check *check, const struct volume_file *file,
		       const struct volume_row *row, struct error *err)
{
	enum volume_finding finding;
	autofree char *attached = NULL;
	struct error why = { 0 };
	int r;

	r = volume_set_find_file(archive_volumes(check->archive), &row->uuid, &attached,
				 &why);
	if (r == 0)
		return error_set(err, -EEXIST,
				 "'%s' is volume '%s', which is attached already as "
				 "'%s': an archive has one file of each volume",
				 file->name, row->label, attached);
	if (r != -ENOMEDIUM)
		return error_set(err, r, "%s", why.text);
	if (row->record_count == 0) /* known by its name only */
		return 0;
	finding = volume_judge_end(check->archive, row, file->name, &why);
	if (finding == FINDING_UNREADABLE)
		return error_set(err, -EIO, "'%s': %s", file->name, why.text);
	if (finding == FINDING_FOUND)
		return 0;
	return error_set(
		err, -ESTALE, "'%s' is volume '%s' %s than the archive knows. %s",
		file->name, row->label,
		finding == FINDING_OLDER ? "in an older state" : "with another history",
		why.text);
}

static int check_file(const struct check *check, const struct volume_file *file,
		      struct error *err)
{
	const struct volume_row *row = volume_list_find(&check->volumes, &file->uuid);

	switch (file->state) {
	case VOLUME_FILE_GOOD:
		return row ? check_known(check, file, row, err) : 0;
	case VOLUME_FILE_COPY:
		return error_set(err, -EEXIST, "'%s' is %s: take one of them away",
				 file->name, file->problem);
	case VOLUME_FILE_FOREIGN:
		return error_set(err, -EINVAL,
				 "'%s' is a volume of another archive: take it away, or "
				 "add another folder",
				 file->name);
	case VOLUME_FILE_UNREADABLE:
		return error_set(err, -EIO, "'%s': %s", file->name, file->problem);
	case VOLUME_FILE_UNSTARTED:
		break;
	}
	return 0;
}

/* Whether the file that was named is a volume. */
static int check_named(const struct check *check, const char *name, struct error *err)
{
	size_t size = strlen(name);
	size_t suffix = strlen(VOLUME_FILE_SUFFIX);

	if (size <= suffix || strcmp(name + size - suffix, VOLUME_FILE_SUFFIX) != 0)
		return error_set(err, -EINVAL,
				 "'%s' does not end in " VOLUME_FILE_SUFFIX
				 ", which files of volumes are found by: rename it",
				 name);
	for (size_t i = 0; i < check->files.count; i++) {
		const struct volume_file *file = &check->files.items[i];
		const char *slash = strrchr(file->name, '/');

		if (file->state == VOLUME_FILE_UNSTARTED &&
		    strcmp(slash ? slash + 1 : file->name, name) == 0)
			return error_set(err, -EINVAL, "'%s' is no volume: %s", name,
					 file->problem);
	}
	return 0;
}

static int check_folder(struct archive *archive, const char *folder, const char *file,
			struct error *err)
{
	struct check check
		__attribute__((__cleanup__(check_done))) = { .archive = archive };
	int r = look_into(&check, folder, err);

	for (size_t i = 0; r == 0 && i < check.files.count; i++)
		r = check_file(&check, &check.files.items[i], err);
	return r == 0 && file ? check_named(&check, file, err) : r;
}

/* ---- the configuration ---- */

/* Whether the archive's own config.toml is what its settings come from. */
static int check_file_in_force(struct archive *archive, const char *file,
			       struct error *err)
{
	struct stat own, in_force;

	if (getenv("BLOCKFRAME_VOLUME_MORE_DIRECTORIES"))
		return error_set(err, -EINVAL,
				 "$BLOCKFRAME_VOLUME_MORE_DIRECTORIES says which places "
				 "there are: add it there");
	if (fstatat(archive_folder(archive), ARCHIVE_CONFIG_FILE, &own, 0) < 0)
		return error_set_errno(err, -errno, ARCHIVE_CONFIG_FILE);
	if (!file || (stat(file, &in_force) == 0 && own.st_dev == in_force.st_dev &&
		      own.st_ino == in_force.st_ino))
		return 0;
	return error_set(err, -EINVAL,
			 "the settings come from '%s': add the folder to [volume] "
			 "more_directories there",
			 file);
}

static int write_config(struct archive *archive, const char *place, struct error *err)
{
	int folder = archive_folder(archive);
	autofree uint8_t *data = NULL;
	autotext struct text text = { 0 };
	struct stat st;
	size_t size;
	int r;

	if (fstatat(folder, ARCHIVE_CONFIG_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, -errno, ARCHIVE_CONFIG_FILE);
	if (S_ISLNK(st.st_mode)) /* which would be replaced, and not what it leads to */
		return error_set(err, -EINVAL,
				 "'" ARCHIVE_CONFIG_FILE "' is a symbolic link: add the "
				 "folder to [volume] more_directories where it leads to");
	r = file_read_all(folder, ARCHIVE_CONFIG_FILE, CONFIG_FILE_MAX, &data, &size,
			  err);
	if (r == 0)
		r = config_list_append((const char *)data, size, "volume",
				       "more_directories", place, &text, err);
	if (r < 0)
		return error_prefix(err, r, ARCHIVE_CONFIG_FILE);
	crash_point("archive.add.checked");
	r = file_replace(folder, ARCHIVE_CONFIG_FILE, text.data, text.size,
			 st.st_mode & 07777, err);
	crash_point("archive.add.written");
	if (r == 0) /* root's edit of somebody else's file leaves it theirs */
		(void)!fchownat(folder, ARCHIVE_CONFIG_FILE, st.st_uid, st.st_gid,
				AT_SYMLINK_NOFOLLOW);
	return r;
}

int volume_add(struct archive *archive, const char *path, const char *config_file,
	       struct volume_add_report *report_out, struct error *err)
{
	autofree char *file = NULL;
	int r;

	*report_out = (struct volume_add_report){ 0 };
	r = find_folder(path, &report_out->place, &file, err);
	if (r == 0)
		r = compare_places(archive_places(archive), report_out, err);
	if (r < 0 || report_out->is_place)
		return r;
	r = check_folder(archive, report_out->place, file, err);
	if (r == 0)
		r = check_file_in_force(archive, config_file, err);
	return r == 0 ? write_config(archive, report_out->place, err) : r;
}
