/* SPDX-License-Identifier: MIT */
#pragma once
/* Compares tables, markers, files and archives with each other, and puts right what can be
 * told for certain. Opens no file, so it recalls nothing, and goes beside a running daemon.
 * Main thread.
 */
#include "catalog/stub_table.h"

#include <stdbool.h>

struct archive;
struct error;

struct check {
	const char *folder; /* the tier's; borrowed, as the next two */
	struct stub_table *table;
	struct archive *archive; /* NULL: contents are not looked for */
	int root_fd;
	bool first; /* of the tiers with this table: look at its rows, too */
	bool repair;
	/* Told of each thing that is wrong; @repaired: it was. */
	void (*finding)(void *context, const char *path, const char *what, bool repaired);
	void *context;
};

/* Negative if it could not get to the end. */
int check_run(const struct check *check, struct error *err);
