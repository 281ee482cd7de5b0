/* SPDX-License-Identifier: MIT */
#pragma once
/* Rows of volumes, as placement.c needs them. For this folder only. */
#include "catalog/placement.h"

/* The volume with @uuid, made if unknown (by its uuid only). In a transaction. Release with
 * volume_row_done(). */
int volumes_get_or_make(struct catalog *catalog, const struct uuid *uuid,
			struct volume_row *volume_out, struct error *err);

/* Add a stripe of @volume, whose counters it moves if it is new. In a transaction. */
int placement_put_stripe(struct catalog *catalog, struct volume_row *volume,
			 const struct stripe_info *stripe, struct error *err);

/* Write all fields of the row volume->id. In a transaction. */
int volumes_update(struct catalog *catalog, const struct volume_row *volume,
		   struct error *err);
