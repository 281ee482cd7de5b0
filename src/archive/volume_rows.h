/* SPDX-License-Identifier: MIT */
#pragma once
/* The catalog's rows for volumes, as their files say: for catch-up and rebuild. One thread
 * at a time, in the caller's catalog transaction.
 */
#include <stdbool.h>

struct catalog;
struct error;
struct volume_file;

/* Insert or update the row of the volume that @file is: label and number as its header
 * record says, or, if that is lost, as the catalog knows, or as its name says. */
int volume_rows_put(struct catalog *catalog, const struct volume_file *file, bool sealed,
		    struct error *err);

/* Insert a row, known by name only, for every volume in the roster of @file's header that
 * the catalog does not know. */
int volume_rows_put_roster(struct catalog *catalog, const struct volume_file *file,
			   struct error *err);
