/* SPDX-License-Identifier: MIT */
/* Files of volumes.
 *
 * People rename, copy and move volume files, and put other things beside them. So a file
 * is what its pages say: chain_identify() gives the UUID, and the header record (or, if
 * that is lost, the last record) the archive. A file whose writer was killed before the
 * header record was whole is a volume of nothing: nobody depends on it and nobody touches
 * it.
 *
 * Of two copies of one volume, the one with the later last record is the volume: the other
 * one was copied from it earlier. This is decided only when two are there, because finding
 * the last record is more work than identifying.
 */
#include "archive/volume_folder.h"

#include "archive/places.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/log.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void volume_files_done(struct volume_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->items[i].name);
		free(files->items[i].info);
		free(files->items[i].problem);
	}
	free(files->items);
	*files = (struct volume_files){ 0 };
}

void volume_file_name(uint64_t number, const struct uuid *uuid,
		      char name_out[VOLUME_FILE_NAME_MAX])
{
	char hex[2 * 4 + 1];

	hex_encode(uuid->bytes, 4, hex);
	(void)snprintf(name_out, VOLUME_FILE_NAME_MAX, "%04" PRIu64 "-%s%s", number, hex,
		       VOLUME_FILE_SUFFIX);
}

static bool name_matches(const char *name)
{
	const size_t suffix = strlen(VOLUME_FILE_SUFFIX);
	size_t size = strlen(name);

	return name[0] != '.' && size > suffix &&
	       strcmp(name + size - suffix, VOLUME_FILE_SUFFIX) == 0;
}

/* Takes over @path. */
static int add_path(struct volume_files *files, char *path)
{
	struct volume_file *grown;

	grown = realloc(files->items, (files->count + 1) * sizeof(*grown));
	if (!grown) {
		free(path);
		return -ENOMEM;
	}
	files->items = grown;
	grown[files->count++] =
		(struct volume_file){ .state = VOLUME_FILE_UNSTARTED, .name = path };
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct volume_file *x = a;
	const struct volume_file *y = b;

	return strcmp(x->name, y->name);
}

static int read_names(DIR *dir, const struct places *places, size_t place,
		      struct volume_files *files)
{
	struct dirent *entry;
	char *path;
	int r;

	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return -errno;
		if (!name_matches(entry->d_name))
			continue;
		r = places_join(places, place, entry->d_name, &path);
		if (r == 0)
			r = add_path(files, path);
		if (r < 0)
			return r;
	}
}

static int list_place(const struct places *places, size_t place,
		      struct volume_files *files)
{
	size_t before = files->count;
	autoclose int fd = openat(places_base(places), places_path(places, place),
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r;

	if (!dir)
		return -errno;
	(void)take_fd(&fd);
	r = read_names(dir, places, place, files);
	(void)closedir(dir); /* it was only read */
	if (files->count - before > 1)
		qsort(files->items + before, files->count - before, sizeof(*files->items),
		      compare_names);
	return r;
}

int volume_folder_list(const struct places *places, struct volume_files *files_out,
		       struct error *err)
{
	autovolume_files struct volume_files files = { 0 };
	struct stat st;
	int r;

	for (size_t i = 0; i < places_count(places); i++) {
		if (places_stat(places, i, &st) < 0)
			continue; /* away, or the same folder again */
		r = list_place(places, i, &files);
		if (r == -ENOMEM)
			return error_set(err, r, "no memory for names of volumes");
		if (r < 0)
			log_debug("'%s': %s", places_path(places, i), strerror(-r));
	}
	*files_out = files;
	files = (struct volume_files){ 0 };
	return 0;
}

static int set_state(struct volume_file *file, enum volume_file_state state,
		     const struct error *why)
{
	free(file->problem);
	file->problem = strdup(why->text);
	file->state = state;
	return file->problem ? 0 : -ENOMEM;
}

/* Any record of the volume: the header record, which also says what the volume is, or the
 * last one. */
static int read_some_record(struct backend *backend, const struct uuid *uuid,
			    struct record **record_out, struct error *err)
{
	struct stripe_info own = { 0 };
	int r;

	r = chain_read_record(backend, uuid, 0, NULL, record_out, &own, NULL);
	if (r == -EBADMSG || r == -EIO)
		r = chain_find_last(backend, uuid, record_out, &own, err);
	if (r < 0)
		return r;
	stripe_info_done(&own);
	return 0;
}

static int take_identity(struct volume_file *file, const struct hash *archive_id,
			 struct record *record)
{
	struct error why = { 0 };

	file->archive_id = record->archive_id;
	if (record->kind == STRIPE_HEADER) {
		file->info_size = record->info_size;
		file->info = take_ptr(record->info);
	}
	file->state = VOLUME_FILE_GOOD;
	if (!archive_id || hash_equal(archive_id, &record->archive_id))
		return 0;
	(void)error_set(&why, -EINVAL, "a volume of another archive");
	return set_state(file, VOLUME_FILE_FOREIGN, &why);
}

/* 0 with the state set, or -ENOMEM. */
static int identify_open(struct backend *backend, const struct hash *archive_id,
			 struct volume_file *file)
{
	autoptr(record) record = NULL;
	struct error why = { 0 };
	int r;

	file->size = backend_position(backend);
	r = chain_identify(backend, &file->uuid, &why);
	if (r == 0)
		r = read_some_record(backend, &file->uuid, &record, &why);
	if (r == -ENOMEM)
		return r;
	if (r == -EBADMSG)
		return set_state(file, VOLUME_FILE_UNSTARTED, &why);
	if (r < 0)
		return set_state(file, VOLUME_FILE_UNREADABLE, &why);
	return take_identity(file, archive_id, record);
}

int volume_folder_identify(int folder_fd, const struct hash *archive_id,
			   struct volume_file *file, struct error *err)
{
	autoptr(backend) backend = NULL;
	struct error why = { 0 };
	int r;

	r = backend_file_open(folder_fd, file->name, 0, &backend, &why);
	if (r < 0 && r != -ENOMEM)
		r = set_state(file, VOLUME_FILE_UNREADABLE, &why);
	else if (r == 0)
		r = identify_open(backend, archive_id, file);
	return r < 0 ? error_set(err, r, "no memory to identify '%s'", file->name) : 0;
}

/* How far a volume file goes: the sequence of its last record. */
static int last_sequence(int folder_fd, const struct volume_file *file,
			 uint64_t *sequence_out)
{
	autoptr(backend) backend = NULL;
	autoptr(record) record = NULL;
	struct stripe_info own = { 0 };
	int r;

	r = backend_file_open(folder_fd, file->name, 0, &backend, NULL);
	if (r < 0)
		return r;
	r = chain_find_last(backend, &file->uuid, &record, &own, NULL);
	if (r < 0)
		return r;
	stripe_info_done(&own);
	*sequence_out = record->sequence;
	return 0;
}

/* Both are the same volume: one of them becomes COPY. */
static int settle_copies(int folder_fd, struct volume_file *a, struct volume_file *b,
			 struct error *err)
{
	struct volume_file *volume = a;
	struct volume_file *copy = b;
	uint64_t sequence_a = 0;
	uint64_t sequence_b = 0;
	struct error why = { 0 };
	int r;

	r = last_sequence(folder_fd, a, &sequence_a);
	if (r < 0 ||
	    (last_sequence(folder_fd, b, &sequence_b) == 0 && sequence_b > sequence_a)) {
		volume = b;
		copy = a;
	}
	(void)error_set(&why, -EEXIST, "a copy of '%s', which is in use", volume->name);
	r = set_state(copy, VOLUME_FILE_COPY, &why);
	return r < 0 ? error_set(err, r, "no memory to identify '%s'", copy->name) : 0;
}

static int settle_all_copies(int folder_fd, struct volume_files *files, struct error *err)
{
	int r;

	for (size_t i = 0; i < files->count; i++) {
		for (size_t j = i + 1; j < files->count; j++) {
			struct volume_file *a = &files->items[i];
			struct volume_file *b = &files->items[j];

			if (a->state != VOLUME_FILE_GOOD ||
			    b->state != VOLUME_FILE_GOOD ||
			    memcmp(&a->uuid, &b->uuid, UUID_SIZE) != 0)
				continue;
			r = settle_copies(folder_fd, a, b, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int volume_folder_scan(const struct places *places, const struct hash *archive_id,
		       struct volume_files *files_out, struct error *err)
{
	autovolume_files struct volume_files files = { 0 };
	int folder_fd = places_base(places);
	int r;

	r = volume_folder_list(places, &files, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < files.count; i++) {
		r = volume_folder_identify(folder_fd, archive_id, &files.items[i], err);
		if (r < 0)
			return r;
	}
	r = settle_all_copies(folder_fd, &files, err);
	if (r < 0)
		return r;
	*files_out = files;
	files = (struct volume_files){ 0 };
	return 0;
}

int volume_folder_check(int folder_fd, const char *name, const struct uuid *uuid,
			struct error *err)
{
	autoptr(backend) backend = NULL;
	struct uuid found;
	int r;

	r = backend_file_open(folder_fd, name, 0, &backend, err);
	if (r < 0)
		return r;
	r = chain_identify(backend, &found, err);
	if (r == -EBADMSG)
		return error_set(err, -ENOENT, "'%s' is no volume", name);
	if (r < 0)
		return r;
	if (memcmp(&found, uuid, UUID_SIZE) != 0)
		return error_set(err, -ENOENT, "'%s' is another volume", name);
	return 0;
}

int volume_folder_sync(int folder_fd, const char *name, struct error *err)
{
	autoclose int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fdatasync(fd) < 0)
		return error_set_errno(err, -errno, "sync of '%s'", name);
	return places_sync_folder(folder_fd, name, err);
}
