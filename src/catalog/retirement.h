/* SPDX-License-Identifier: MIT */
#pragma once
/* What a placement record says of volumes that are retired. For this folder only. */
struct catalog;
struct error;
struct record;

/* Mark the volumes that @record's info names. In a transaction. Info that says something else
 * is left alone. */
int retirement_take(struct catalog *catalog, const struct record *record,
		    struct error *err);
