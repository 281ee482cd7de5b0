/* SPDX-License-Identifier: MIT */
/* Opening and closing. The order follows from who needs whom: folder, lock, configuration,
 * memory and workers, catalog, volumes, source; closing goes the other way.
 *
 * Two catalog handles: one for the opener's thread, with the transactions, and one that the
 * volume set looks places up with, from any thread, always in what is committed. What the
 * first one has put and not committed, the archive's source does not see; the few who need
 * that make a source over the first handle (appender.c, catch_up.c, rebuild.c).
 *
 * An archive that is elsewhere has no volumes and one handle: its source needs no places.
 *
 * The configuration is copied by way of its text, which has every setting.
 */
#include "archive/archive.h"

#include "archive/catalog_swap.h"
#include "archive/catch_up.h"
#include "archive/lock.h"
#include "archive/origin.h"
#include "archive/places.h"
#include "archive/source_local.h"
#include "archive/volume_set.h"
#include "base/budget.h"
#include "base/config.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/text.h"
#include "catalog/catalog.h"
#include "catalog/filler.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct archive {
	char *directory;
	int folder_fd;
	int lock_fd; /* -1: reader */
	struct config config;
	struct places *places;
	struct budget *budget;
	struct pool *pool;
	struct catalog *catalog;  /* the opener's */
	struct catalog *look_ups; /* the volume set's */
	struct volume_set *volumes;
	struct source *source;
	struct origin *origin; /* borrowed, or NULL */
	struct hash id;
	char *warning; /* or NULL */
};

bool archive_exists(const char *directory)
{
	autoclose int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstatat(fd, ARCHIVE_CONFIG_FILE, &st, 0) == 0 &&
	       S_ISREG(st.st_mode);
}

void archive_free(struct archive *archive)
{
	if (!archive)
		return;
	source_free(archive->source);
	volume_set_free(archive->volumes);
	catalog_free(archive->look_ups);
	catalog_free(archive->catalog);
	pool_free(archive->pool);
	budget_free(archive->budget);
	places_free(archive->places);
	config_done(&archive->config);
	cleanup_close_p(&archive->lock_fd);
	cleanup_close_p(&archive->folder_fd);
	free(archive->directory);
	free(archive->warning);
	free(archive);
}

static int open_folder(struct archive *archive, const char *directory, struct error *err)
{
	archive->directory = strdup(directory);
	if (!archive->directory)
		return error_set(err, -ENOMEM, "no memory to open an archive");
	archive->folder_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (archive->folder_fd < 0)
		return error_set_errno(err, -errno, "archive '%s'", directory);
	if (!archive->origin && !archive_exists(directory))
		return error_set(err, -ENOENT, "'%s' holds no archive (no %s)", directory,
				 ARCHIVE_CONFIG_FILE);
	return 0;
}

static int copy_config(struct archive *archive, const struct config *config,
		       struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = config_defaults(&archive->config);
	if (r == 0)
		r = config_dump(config, &text);
	if (r < 0)
		return error_set(err, r, "no memory for the configuration");
	return config_parse(&archive->config, "settings", text_string(&text), text.size,
			    err);
}

static int open_places(struct archive *archive, struct error *err)
{
	int r = places_new(archive->folder_fd, &archive->config, &archive->places, err);

	return r < 0 ? r : places_check(archive->places, err);
}

/* Threads that mostly wait for another machine may be more than there are cores. */
static unsigned thread_count(const struct archive *archive)
{
	struct origin *origin = archive->origin;
	unsigned jobs = config_jobs(&archive->config);
	unsigned waiting = origin ? origin->ops->parallel(origin) : 0;

	return waiting > jobs ? waiting : jobs;
}

static int start_engines(struct archive *archive, struct error *err)
{
	int r;

	r = budget_new(archive->config.limits.memory, &archive->budget);
	if (r < 0)
		return error_set(err, r, "no memory to open an archive");
	return pool_new(thread_count(archive), &archive->pool, err);
}

int archive_open_catalog(const struct archive *archive, struct catalog **catalog_out,
			 struct error *err)
{
	autofree char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", archive->directory, ARCHIVE_CATALOG_FILE) < 0) {
		path = NULL; /* undefined after a failure */
		return error_set(err, -ENOMEM, "no memory to open the catalog");
	}
	r = catalog_open(path, catalog_out, err);
	if (r == 0 && archive->origin)
		catalog_set_filler(*catalog_out,
				   archive->origin->ops->filler(archive->origin));
	return r;
}

/* An own handle each for the opener and for look-ups. */
static int open_catalogs(struct archive *archive, struct error *err)
{
	int r;

	r = archive_open_catalog(archive, &archive->catalog, err);
	if (r == -ENOENT)
		return error_set(err, -EBADMSG,
				 "the catalog is missing: rebuild it from the volumes");
	if (r == -EBADMSG)
		return error_prefix(err, r, "rebuild the catalog from the volumes");
	if (r < 0)
		return r;
	catalog_archive_id(archive->catalog, &archive->id);
	return archive->origin ? 0
			       : archive_open_catalog(archive, &archive->look_ups, err);
}

/* What to do with repairs: the opener must want them written, and the settings allow it. */
static enum write_back_mode write_back_mode(const struct archive *archive,
					    const struct archive_options *options)
{
	if (options->write_back &&
	    archive->config.repair.write_back == CONFIG_WRITE_BACK_IN_PLACE)
		return WRITE_BACK_IN_PLACE;
	return WRITE_BACK_OFF;
}

static int open_volumes(struct archive *archive, const struct archive_options *options,
			struct error *err)
{
	const struct volume_set_options set_options = {
		.places = archive->places,
		.archive_id = archive->id,
		.catalog = archive->look_ups,
		.budget = archive->budget,
		.write_back = write_back_mode(archive, options),
		.observer = options->observer,
	};
	int r;

	r = volume_set_new(&set_options, &archive->volumes, err);
	if (r < 0)
		return r;
	return source_local_new(archive->volumes, archive->budget, &archive->source, err);
}

static int set_warning(struct archive *archive, const char *text)
{
	free(archive->warning);
	archive->warning = strdup(text);
	return archive->warning ? 0 : -ENOMEM;
}

/* Run with the lock, which a reader takes for the moment. */
static int catch_up_locked(struct archive *archive, struct catch_up *catch_up,
			   struct error *err)
{
	autoclose int lock_fd = -1;
	int r;

	if (archive->lock_fd < 0) {
		r = lock_take_for_reader(archive->folder_fd, &lock_fd, err);
		if (r < 0)
			return r;
	}
	return catch_up_run(catch_up, err);
}

static int note_results(struct archive *archive, const struct catch_up *catch_up)
{
	char text[ERROR_TEXT_MAX];

	if (catch_up->left_out.text[0])
		return set_warning(archive, catch_up->left_out.text);
	if (catch_up->old_commits == 0)
		return 0;
	(void)snprintf(text, sizeof(text),
		       "a volume with %" PRIu64
		       " older commits was attached: rebuild the "
		       "catalog to see them",
		       catch_up->old_commits);
	return set_warning(archive, text);
}

static int try_catch_up(struct archive *archive, struct error *err)
{
	struct catch_up catch_up = {
		.places = archive->places,
		.archive_id = archive->id,
		.catalog = archive->catalog,
		.budget = archive->budget,
		.copies = archive->config.volume.copies > 1,
	};
	bool needed = false;
	int r;

	r = catch_up_needed(&catch_up, &needed, err);
	if (r < 0 || !needed)
		return r;
	r = catch_up_locked(archive, &catch_up, err);
	if (r < 0)
		return r;
	r = note_results(archive, &catch_up);
	return r < 0 ? error_set(err, r, "no memory to open an archive") : 0;
}

/* Readers go on with what the catalog knows. That another process is writing, that this
 * user may not write, or that there is no space for it, is not worth a word. */
static int bring_up_to_date(struct archive *archive, struct error *err)
{
	struct error why = { 0 };
	int r;

	if (archive->lock_fd >= 0)
		return try_catch_up(archive, err);
	r = try_catch_up(archive, &why);
	if (r == 0 || r == -EBUSY || r == -EACCES || r == -EROFS || r == -EPERM ||
	    r == -ENOSPC || r == -EDQUOT)
		return 0;
	r = set_warning(archive, why.text);
	return r < 0 ? error_set(err, r, "no memory to open an archive") : 0;
}

/* End what a killed rebuild has left to be done. */
static int end_swap(struct archive *archive, struct error *err)
{
	autoclose int lock_fd = -1;
	int r;

	if (!catalog_swap_is_pending(archive->folder_fd))
		return 0;
	if (archive->lock_fd < 0) {
		r = lock_take_for_reader(archive->folder_fd, &lock_fd, err);
		if (r < 0)
			return r;
	}
	return catalog_swap_finish(archive->folder_fd, err);
}

static int open_all(struct archive *archive, const struct archive_options *options,
		    struct error *err)
{
	int r;

	r = open_folder(archive, options->directory, err);
	if (r < 0)
		return r;
	r = copy_config(archive, options->config, err);
	if (r < 0)
		return r;
	if (options->writable)
		r = lock_take(archive->folder_fd, options->wait, &archive->lock_fd, err);
	if (r == 0)
		r = open_places(archive, err);
	if (r == 0)
		r = start_engines(archive, err);
	if (r < 0 || options->without_catalog)
		return r;
	r = end_swap(archive, err);
	if (r == 0)
		r = open_catalogs(archive, err);
	if (r == 0)
		r = open_volumes(archive, options, err);
	if (r == 0)
		r = bring_up_to_date(archive, err);
	return r;
}

static int open_elsewhere(struct archive *archive, const struct archive_options *options,
			  struct error *err)
{
	struct origin *origin = options->origin;
	int r;

	archive->origin = origin;
	r = open_folder(archive, origin->ops->folder(origin), err);
	if (r == 0)
		r = copy_config(archive, options->config, err);
	if (r == 0)
		r = start_engines(archive, err);
	if (r == 0)
		r = origin->ops->open_source(origin, archive->budget, &archive->source,
					     err);
	return r < 0 ? r : open_catalogs(archive, err); /* they ask a filler over it */
}

int archive_open(const struct archive_options *options, struct archive **archive_out,
		 struct error *err)
{
	autoptr(archive) archive = calloc(1, sizeof(*archive));
	int r;

	if (!archive)
		return error_set(err, -ENOMEM, "no memory to open an archive");
	archive->folder_fd = -1;
	archive->lock_fd = -1;
	r = options->origin ? open_elsewhere(archive, options, err)
			    : open_all(archive, options, err);
	if (r < 0)
		return r;
	*archive_out = take_ptr(archive);
	return 0;
}

const struct config *archive_config(const struct archive *archive)
{
	return &archive->config;
}

const char *archive_directory(const struct archive *archive)
{
	return archive->directory;
}

struct budget *archive_budget(struct archive *archive)
{
	return archive->budget;
}

struct pool *archive_pool(struct archive *archive)
{
	return archive->pool;
}

struct catalog *archive_catalog(struct archive *archive)
{
	return archive->catalog;
}

struct volume_set *archive_volumes(struct archive *archive)
{
	return archive->volumes;
}

struct source *archive_source(struct archive *archive)
{
	return archive->source;
}

void archive_id(const struct archive *archive, struct hash *id_out)
{
	*id_out = archive->id;
}

struct origin *archive_origin(const struct archive *archive)
{
	return archive->origin;
}

int archive_folder(const struct archive *archive)
{
	return archive->folder_fd;
}

const struct places *archive_places(const struct archive *archive)
{
	return archive->places;
}

const char *archive_warning(const struct archive *archive)
{
	return archive->warning;
}
