/* SPDX-License-Identifier: MIT */
#pragma once
/* An open archive: its folder, configuration, lock, memory budget, workers, catalog and
 * volumes. Opening brings the catalog up to date with the volumes, so that an interrupted
 * writer needs no manual step.
 *
 * Threads: open and close by one thread; the accessors return objects with thread rules of
 * their own (the catalog handle belongs to the opening thread).
 */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "volume/write_back.h"

#include <stdbool.h>
#include <stdint.h>

struct archive;
struct budget;
struct catalog;
struct config;
struct error;
struct origin;
struct places;
struct pool;
struct source;
struct volume_set;

#define ARCHIVE_CATALOG_FILE "catalog.db"
#define ARCHIVE_CONFIG_FILE "config.toml"

struct archive_options {
	const char *directory;       /* the archive's folder */
	const struct config *config; /* flags, environment and file combined; copied */
	bool writable;               /* take the writer's lock (archive/lock.h) */
	bool wait;                   /* wait for the lock instead of failing */
	bool without_catalog; /* for rebuild: open although the catalog is unusable */
	bool write_back; /* put what archive_source() repairs back on the volumes, unless
			  * [repair] write_back is "off"; else nothing is written */
	struct origin *origin; /* the archive is elsewhere (archive/origin.h): borrowed.
				* Its directory is a private one then, and all below
				* does not apply; NULL: it is here */
	struct repair_observer observer; /* of damage that archive_source() meets; zero:
					  * nobody listens */
};

/* Make an archive in @directory (created if missing; -ENOTEMPTY if it has other contents,
 * -EEXIST if it is an archive): config.toml, the first volume with the first head, the
 * catalog. Durable on return. An interrupted init can be run again. @label names the first
 * volume; NULL: after the folder. */
int archive_init(const char *directory, const struct config *config, const char *label,
		 struct error *err);

/* True if @directory holds an archive: a folder with a config.toml. */
bool archive_exists(const char *directory);

/* -ENOENT: no archive there. -EBUSY: another writer holds the lock. -EBADMSG: the catalog is
 * missing or damaged (the text says to rebuild it). -ENOMEDIUM: none of the places is there. A writer
 * also gets -ESTALE (a volume is older than the catalog knows, or has another history: a
 * fork) and whatever keeps the catalog from catching up. A reader takes the lock for a
 * moment if the catalog is behind; if it can't, or it fails, it goes on with what the
 * catalog knows, and archive_warning() says so. */
int archive_open(const struct archive_options *options, struct archive **archive_out,
		 struct error *err);

void archive_free(struct archive *archive);
DEFINE_AUTOPTR(archive);

const struct config *archive_config(const struct archive *archive);
const char *archive_directory(const struct archive *archive);
struct budget *archive_budget(struct archive *archive);
struct pool *archive_pool(struct archive *archive);

/* NULL for an archive opened without catalog: the next three, and archive_id() is zero. An
 * archive that is elsewhere has no volume set (NULL). */
struct catalog *archive_catalog(struct archive *archive); /* opener's thread only */
struct volume_set *archive_volumes(struct archive *archive);
struct source *archive_source(struct archive *archive); /* any thread */
void archive_id(const struct archive *archive, struct hash *id_out);

/* Where the archive is if it is elsewhere, or NULL. */
struct origin *archive_origin(const struct archive *archive);

/* A further handle of the catalog, for one thread. The caller frees it. */
int archive_open_catalog(const struct archive *archive, struct catalog **catalog_out,
			 struct error *err);

/* Descriptor of the archive's folder, where paths of volume files count from; borrowed. */
int archive_folder(const struct archive *archive);
/* Borrowed; NULL for an archive that is elsewhere. */
const struct places *archive_places(const struct archive *archive);

/* What the user should know about how it was opened, or NULL. */
const char *archive_warning(const struct archive *archive);
