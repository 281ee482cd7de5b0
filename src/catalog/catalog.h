/* SPDX-License-Identifier: MIT */
#pragma once
/* The catalog: an SQLite file (WAL) that makes the archive fast and can be thrown away.
 * Everything in it is derived from the volumes (docs/format.md 4 and 7), except the
 * bookkeeping of where a volume's file was last seen. A handle belongs to one thread at a
 * time; open one per thread. Readers never block the writer.
 *
 * Rows that lead to bytes (manifests, placements) carry a checksum over their content and
 * key; a row that does not match is -EBADMSG ("catalog is damaged"), never a wrong answer.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stdint.h>
#include <stdio.h>

struct catalog;
struct error;

#define CATALOG_END 1 /* an iteration is over; a look-up found nothing */

/* Open @path. -ENOENT if there is none, -EBADMSG if it is no catalog or damaged,
 * -EPROTONOSUPPORT if made by a newer version. Where it can only be read, writing is
 * -EROFS, or -ENOSPC for want of space. */
int catalog_open(const char *path, struct catalog **catalog_out, struct error *err);

/* Make a new, empty one for @archive_id at @path, replacing any file (and -wal, -shm) there. */
int catalog_create(const char *path, const struct hash *archive_id,
		   struct catalog **catalog_out, struct error *err);

void catalog_free(struct catalog *catalog);
DEFINE_AUTOPTR(catalog);

void catalog_archive_id(const struct catalog *catalog, struct hash *id_out);

/* One transaction at a time; reads inside see its writes. A catalog_free() or failed commit
 * rolls back. Without one, each call that writes is a transaction of its own. */
int catalog_begin(struct catalog *catalog, struct error *err);
int catalog_commit(struct catalog *catalog, struct error *err);
void catalog_rollback(struct catalog *catalog);

/* Write the canonical dump: logical state and placement, one line of JSON per item in a
 * fixed order, the same for equal archives however the catalog came to be. */
int catalog_dump(struct catalog *catalog, FILE *out, struct error *err);
