/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume as `volume list` and `volume info` show it: what the catalog knows, and where its
 * file is now. One thread at a time with the catalog that the rows are from.
 */
#include "catalog/placement.h"

#include <stdbool.h>
#include <stdint.h>

struct archive;
struct error;
struct json;

struct volume_status {
	bool attached;
	char *file;         /* owned: its path (archive/places.h); NULL if not attached */
	uint64_t size;      /* bytes of the file, holes included */
	uint64_t allocated; /* bytes it takes on the medium */
};

/* Look for the file of @volume. -errno only if that could not be found out. */
int volume_status_get(struct archive *archive, const struct volume_row *volume,
		      struct volume_status *status_out, struct error *err);
void volume_status_done(struct volume_status *status);

/* What both commands say about it in JSON. */
void volume_status_add_json(const struct volume_row *volume,
			    const struct volume_status *status, struct json *object);

/* Parity in percent of payload; 0 if there is none. */
unsigned volume_overhead(const struct volume_row *volume);
