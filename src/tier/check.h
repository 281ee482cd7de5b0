/* SPDX-License-Identifier: MIT */
#pragma once
/* Compares tables, markers, files and archives with each other, and puts right what can be
 * told for certain. Opens no file, so it recalls nothing, and goes beside a running daemon.
 * Main thread.
 */
#include "catalog/stub_table.h"

#include <stdbool.h>

struct archive;
struct check_claims;
struct error;
struct stat;

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
	/* Keep the daemon from the file, which it marks, until check_claims.end, to look at
	 * it again and to repair it. Returns false if the daemon is busy with it, so that
	 * nothing there is to be judged. NULL: no daemon runs. */
	const struct check_claims *claims;
};

struct check_claims {
	bool (*begin)(void *context, int fd, const struct stat *file);
	void (*end)(void *context);
	void *context;
};

/* Negative if it could not get to the end. */
int check_run(const struct check *check, struct error *err);
