/* SPDX-License-Identifier: MIT */
/* A rebuild is a catch-up from nothing: rows for the volumes, then all their records in any
 * order, then the replay of the heads from the first one on. It is one transaction in a
 * file of its own, which takes the catalog's name when it is complete
 * (archive/catalog_swap.c).
 */
#include "archive/rebuild.h"

#include "archive/archive.h"
#include "archive/catalog_swap.h"
#include "archive/rebuild_absent.h"
#include "archive/rebuild_volume.h"
#include "archive/source_local.h"
#include "archive/volume_folder.h"
#include "archive/volume_list.h"
#include "archive/volume_rows.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "catalog/history.h"
#include "catalog/ledger.h"
#include "volume/chain.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Which archive. */

static int make_path(const struct archive *archive, const char *name, char **path_out,
		     struct error *err)
{
	if (asprintf(path_out, "%s/%s", archive_directory(archive), name) >= 0)
		return 0;
	*path_out = NULL; /* undefined after a failure */
	return error_set(err, -ENOMEM, "no memory to rebuild the catalog");
}

/* The old catalog, or NULL if it can't be opened. */
static struct catalog *open_old(const struct archive *archive)
{
	struct catalog *catalog = NULL;
	autofree char *path = NULL;

	if (make_path(archive, ARCHIVE_CATALOG_FILE, &path, NULL) == 0)
		(void)catalog_open(path, &catalog, NULL); /* it is NULL then */
	return catalog;
}

/* The id in the old catalog, if that can be opened. */
static bool old_archive_id(const struct archive *archive, struct hash *id_out)
{
	autoptr(catalog) catalog = NULL;

	archive_id(archive, id_out);
	if (!hash_is_zero(id_out))
		return true;
	catalog = open_old(archive);
	if (!catalog)
		return false;
	catalog_archive_id(catalog, id_out);
	return true;
}

/* The id that all volumes agree on. */
static int common_archive_id(const struct volume_files *files, struct hash *id_out,
			     struct error *err)
{
	const struct volume_file *first = NULL;

	for (size_t i = 0; i < files->count; i++) {
		const struct volume_file *file = &files->items[i];

		if (file->state != VOLUME_FILE_GOOD)
			continue;
		if (!first)
			first = file;
		if (!hash_equal(&first->archive_id, &file->archive_id))
			return error_set(
				err, -EINVAL,
				"'%s' and '%s' are volumes of different archives: "
				"move those that do not belong here elsewhere",
				first->name, file->name);
	}
	if (!first)
		return error_set(err, -ENOMEDIUM, "there is no volume to rebuild from");
	*id_out = first->archive_id;
	return 0;
}

static bool belongs(const struct rebuild *rebuild, const struct volume_file *file)
{
	return file->state == VOLUME_FILE_GOOD &&
	       hash_equal(&file->archive_id, &rebuild->archive_id);
}

/* A catalog that was left in the folder by another archive would have all volumes ignored. */
static int check_catalog_belongs(const struct rebuild *rebuild,
				 const struct volume_files *files, struct error *err)
{
	struct hash common;

	for (size_t i = 0; i < files->count; i++)
		if (belongs(rebuild, &files->items[i]))
			return 0;
	if (common_archive_id(files, &common, NULL) < 0)
		return 0; /* there is none, or they do not agree: told as such */
	return error_set(err, -EINVAL,
			 "'" ARCHIVE_CATALOG_FILE "' is the catalog of another archive "
			 "than all volumes are of: move it elsewhere, or "
			 "correct [volume] directory");
}

/* Reading the volumes. */

/* Rows first, since records need them; rosters after, since a header knows better than
 * another volume's roster. */
static int put_rows(struct rebuild *rebuild, const struct volume_files *files,
		    struct error *err)
{
	int r;

	for (size_t i = 0; i < files->count; i++) {
		const struct volume_file *file = &files->items[i];

		if (file->state == VOLUME_FILE_UNREADABLE)
			rebuild_tell(rebuild, "'%s': %s", file->name, file->problem);
		if (!belongs(rebuild, file))
			continue;
		r = volume_rows_put(rebuild->catalog, file, false, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < files->count; i++) {
		if (!belongs(rebuild, &files->items[i]))
			continue;
		r = volume_rows_put_roster(rebuild->catalog, &files->items[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_volumes(struct rebuild *rebuild, const struct volume_files *files,
			struct error *err)
{
	int r;

	r = put_rows(rebuild, files, err);
	for (size_t i = 0; r == 0 && i < files->count; i++) {
		if (belongs(rebuild, &files->items[i]))
			r = rebuild_volume(rebuild, &files->items[i], err);
	}
	if (r == 0 && rebuild->report.volumes == 0)
		return error_set(err, -ENOMEDIUM, "there is no volume to rebuild from");
	return r;
}

static bool has_file(const struct volume_files *files, const struct uuid *uuid)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->items[i].state == VOLUME_FILE_GOOD &&
		    memcmp(&files->items[i].uuid, uuid, UUID_SIZE) == 0)
			return true;
	return false;
}

static int tell_missing_volumes(struct rebuild *rebuild, const struct volume_files *files,
				struct error *err)
{
	autovolume_list struct volume_list volumes = { 0 };
	char hex[2 * UUID_SIZE + 1];
	int r;

	r = volume_list_load(rebuild->catalog, &volumes, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < volumes.count; i++) {
		const struct volume_row *row = &volumes.rows[i];

		if (row->record_count > 0 && has_file(files, &row->uuid))
			continue;
		hex_encode(row->uuid.bytes, UUID_SIZE, hex);
		rebuild->report.volumes_missing++;
		rebuild_tell(rebuild, "volume %" PRIu64 " '%s' (%s) is missing%s",
			     row->number, row->label, hex,
			     row->record_count > 0 ? ", but known from its groups" : "");
	}
	return 0;
}

/* Replaying the commits. */

static int tell_missing_commits(void *context, uint64_t first, uint64_t last,
				struct error *err)
{
	struct rebuild *rebuild = context;

	(void)err;
	rebuild->report.commits_missing += last - first + 1;
	if (first == last)
		rebuild_tell(rebuild, "commit %" PRIu64 " is missing", first);
	else
		rebuild_tell(rebuild, "commits %" PRIu64 " to %" PRIu64 " are missing",
			     first, last);
	return 0;
}

static int tell_damaged_commit(void *context, uint64_t sequence, const struct error *why,
			       struct error *err)
{
	(void)err;
	rebuild_tell(context, "commit %" PRIu64 " is incomplete: %s", sequence,
		     why->text);
	return 0;
}

static int replay_commits(struct rebuild *rebuild, struct budget *budget,
			  struct error *err)
{
	const struct replay_events events = {
		.missing = tell_missing_commits,
		.damaged = tell_damaged_commit,
		.context = rebuild,
	};
	const struct volume_set_options options = {
		.places = rebuild->places,
		.archive_id = rebuild->archive_id,
		.catalog = rebuild->catalog,
		.budget = budget,
	};
	autoptr(volume_set) volumes = NULL;
	autoptr(source) source = NULL;
	int r;

	r = volume_set_new(&options, &volumes, err);
	if (r < 0)
		return r;
	r = source_local_new(volumes, budget, &source, err);
	if (r < 0)
		return r;
	return replay_run(&rebuild->replay, source, &events, err);
}

static int fill_catalog(struct rebuild *rebuild, const struct volume_files *files,
			struct budget *budget, struct error *err)
{
	int r;

	r = catalog_begin(rebuild->catalog, err);
	if (r == 0)
		r = replay_init(&rebuild->replay, rebuild->catalog, err);
	if (r == 0)
		r = budget_reserve(budget, CHAIN_MEMORY, "records", err);
	if (r == 0) {
		r = read_volumes(rebuild, files, err);
		budget_release(budget, CHAIN_MEMORY);
	}
	if (r == 0)
		r = rebuild_absent_volumes(rebuild, budget, err);
	if (r == 0)
		r = tell_missing_volumes(rebuild, files, err);
	if (r == 0)
		r = replay_commits(rebuild, budget, err);
	if (r == 0)
		r = catalog_commit(rebuild->catalog, err);
	return r;
}

/* What was verified when is in the old catalog alone. What can't be read is due again. */
static int keep_ledger(const struct archive *archive, struct catalog *catalog,
		       struct error *err)
{
	autoptr(catalog) old = open_old(archive);
	struct hash id, old_id;

	if (!old)
		return 0;
	catalog_archive_id(catalog, &id);
	catalog_archive_id(old, &old_id);
	return hash_equal(&id, &old_id) ? ledger_copy(old, catalog, err) : 0;
}

static int make_catalog(struct rebuild *rebuild, struct archive *archive,
			const struct volume_files *files, struct error *err)
{
	autoptr(catalog) catalog = NULL;
	autofree char *path = NULL;
	int r;

	r = make_path(archive, CATALOG_NEW_FILE, &path, err);
	if (r < 0)
		return r;
	r = catalog_create(path, &rebuild->archive_id, &catalog, err);
	if (r < 0)
		return r;
	rebuild->catalog = catalog;
	r = fill_catalog(rebuild, files, archive_budget(archive), err);
	rebuild->catalog = NULL;
	return r < 0 ? r : keep_ledger(archive, catalog, err);
}

int rebuild_catalog(struct archive *archive, rebuild_problem_fn *problem, void *context,
		    struct rebuild_report *report_out, struct error *err)
{
	autovolume_files struct volume_files files = { 0 };
	struct rebuild rebuild = {
		.places = archive_places(archive),
		.budget = archive_budget(archive),
		.problem = problem,
		.context = context,
	};
	int r;

	r = volume_folder_scan(rebuild.places, NULL, &files, err);
	if (r < 0)
		return r;
	if (!old_archive_id(archive, &rebuild.archive_id)) {
		r = common_archive_id(&files, &rebuild.archive_id, err);
		if (r < 0)
			return r;
	}
	r = check_catalog_belongs(&rebuild, &files, err);
	if (r < 0)
		return r;
	r = make_catalog(&rebuild, archive, &files, err);
	if (r == 0)
		r = catalog_swap(archive_folder(archive), err);
	if (r < 0)
		return r;
	*report_out = rebuild.report;
	return 0;
}
