/* SPDX-License-Identifier: MIT */
/* A volume is known by the UUID in its pages, so a name says nothing; but a name that was given
 * to it, NUMBER-UUID.bfv, and then changed or exchanged, is worth a word to who did it.
 */
#include "archive/volume_scan.h"

#include "archive/archive.h"
#include "archive/places.h"
#include "archive/volume_folder.h"
#include "archive/volume_list.h"
#include "base/error.h"
#include "volume/backend.h"
#include "volume/chain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct scan {
	struct archive *archive;
	struct volume_list volumes;
	struct volume_files files;
	int (*visit)(void *context, const struct volume_sighting *sighting);
	void *context;
};

static void scan_done(struct scan *scan)
{
	volume_list_done(&scan->volumes);
	volume_files_done(&scan->files);
}

const char *volume_finding_name(enum volume_finding finding)
{
	static const char *const names[] = {
		[FINDING_FOUND] = "found",           [FINDING_RENAMED] = "renamed",
		[FINDING_SWAPPED] = "swapped",       [FINDING_TWICE] = "twice",
		[FINDING_OLDER] = "older",           [FINDING_FORK] = "fork",
		[FINDING_MISSING] = "missing",       [FINDING_RETIRED] = "retired",
		[FINDING_FOREIGN] = "foreign",       [FINDING_NO_VOLUME] = "no volume",
		[FINDING_UNREADABLE] = "unreadable", [FINDING_PLACE_AWAY] = "place away",
	};

	return names[finding];
}

bool volume_finding_is_problem(enum volume_finding finding)
{
	return finding == FINDING_OLDER || finding == FINDING_FORK ||
	       finding == FINDING_MISSING || finding == FINDING_UNREADABLE ||
	       finding == FINDING_PLACE_AWAY;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Whether the file has the name of its volume, that of another one, or some other name. */
static enum volume_finding judge_name(const struct scan *scan,
				      const struct volume_row *row, const char *path)
{
	char name[VOLUME_FILE_NAME_MAX];

	volume_file_name(row->number, &row->uuid, name);
	if (strcmp(base_name(path), name) == 0)
		return FINDING_FOUND;
	for (size_t i = 0; i < scan->volumes.count; i++) {
		volume_file_name(scan->volumes.rows[i].number,
				 &scan->volumes.rows[i].uuid, name);
		if (strcmp(base_name(path), name) == 0)
			return FINDING_SWAPPED;
	}
	return FINDING_RENAMED;
}

enum volume_finding volume_judge_end(struct archive *archive,
				     const struct volume_row *row, const char *path,
				     struct error *why)
{
	autoptr(backend) backend = NULL;
	autoptr(record) last = NULL;
	struct stripe_info own = { 0 };
	int r;

	r = backend_file_open(archive_folder(archive), path, 0, &backend, why);
	if (r == 0)
		r = chain_find_last(backend, &row->uuid, &last, &own, why);
	if (r < 0)
		return FINDING_UNREADABLE;
	stripe_info_done(&own);
	if (last->sequence + 1 < row->record_count) {
		(void)error_set(why, -ESTALE, "%s", VOLUME_FILE_STALE_ADVICE);
		return FINDING_OLDER;
	}
	if (last->sequence + 1 == row->record_count &&
	    !hash_equal(&last->hash, &row->record_hash)) {
		(void)error_set(why, -ESTALE, "%s", VOLUME_FILE_FORK_ADVICE);
		return FINDING_FORK;
	}
	return FINDING_FOUND;
}

static enum volume_finding judge_good(const struct scan *scan,
				      const struct volume_row *row, const char *path,
				      struct error *why)
{
	enum volume_finding finding = volume_judge_end(scan->archive, row, path, why);

	return finding == FINDING_FOUND ? judge_name(scan, row, path) : finding;
}

static enum volume_finding judge(const struct scan *scan, const struct volume_file *file,
				 const struct volume_row *row, struct error *why)
{
	if (file->problem)
		(void)error_set(why, -EINVAL, "%s", file->problem);
	switch (file->state) {
	case VOLUME_FILE_GOOD:
		return row ? judge_good(scan, row, file->name, why) : FINDING_FOUND;
	case VOLUME_FILE_COPY:
		return FINDING_TWICE;
	case VOLUME_FILE_FOREIGN:
		return FINDING_FOREIGN;
	case VOLUME_FILE_UNSTARTED:
		return FINDING_NO_VOLUME;
	case VOLUME_FILE_UNREADABLE:
		break;
	}
	return FINDING_UNREADABLE;
}

static int visit_file(const struct scan *scan, const struct volume_file *file)
{
	const struct volume_row *row = volume_list_find(&scan->volumes, &file->uuid);
	struct error why = { 0 };
	struct volume_sighting sighting = {
		.finding = judge(scan, file, row, &why),
		.file = file->name,
		.label = row ? row->label : NULL,
		.number = row ? row->number : 0,
		.uuid = file->uuid,
		.detail = why.text,
	};

	return scan->visit(scan->context, &sighting);
}

static bool has_file(const struct scan *scan, const struct uuid *uuid)
{
	for (size_t i = 0; i < scan->files.count; i++)
		if (scan->files.items[i].state == VOLUME_FILE_GOOD &&
		    memcmp(&scan->files.items[i].uuid, uuid, UUID_SIZE) == 0)
			return true;
	return false;
}

static int visit_missing(const struct scan *scan, const struct volume_row *row)
{
	struct error why = { 0 };
	struct volume_sighting sighting = {
		.finding = row->retired ? FINDING_RETIRED : FINDING_MISSING,
		.label = row->label,
		.number = row->number,
		.uuid = row->uuid,
		.detail = why.text,
	};

	if (has_file(scan, &row->uuid))
		return 0;
	if (row->file[0])
		(void)error_set(&why, -ENOENT, "it was '%s'", row->file);
	return scan->visit(scan->context, &sighting);
}

static int visit_place(const struct scan *scan, size_t place)
{
	const struct places *places = archive_places(scan->archive);
	struct volume_sighting sighting = {
		.finding = FINDING_PLACE_AWAY,
		.file = places_path(places, place),
	};
	struct stat st;
	int r = places_stat(places, place, &st);

	if (r == 0 || r == -EEXIST)
		return 0;
	sighting.detail = strerror(-r);
	return scan->visit(scan->context, &sighting);
}

int volume_scan(struct archive *archive,
		int (*visit)(void *context, const struct volume_sighting *sighting),
		void *context, struct error *err)
{
	struct scan scan __attribute__((__cleanup__(scan_done))) = {
		.archive = archive,
		.visit = visit,
		.context = context,
	};
	const struct places *places = archive_places(archive);
	struct hash id;
	int r;

	archive_id(archive, &id);
	r = volume_list_load(archive_catalog(archive), &scan.volumes, err);
	if (r == 0)
		r = volume_folder_scan(places, &id, &scan.files, err);
	for (size_t i = 0; r == 0 && i < places_count(places); i++)
		r = visit_place(&scan, i);
	for (size_t i = 0; r == 0 && i < scan.files.count; i++)
		r = visit_file(&scan, &scan.files.items[i]);
	for (size_t i = 0; r == 0 && i < scan.volumes.count; i++)
		r = visit_missing(&scan, &scan.volumes.rows[i]);
	return r;
}
