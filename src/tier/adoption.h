/* SPDX-License-Identifier: MIT */
#pragma once
/* Files that a command has made to be stubs, without a name and without content: the worker
 * marks them and puts them into the table, many at a time. One thread at a time.
 */
#include "base/error.h"

#include <stddef.h>

struct control_request;
struct stub_row;
struct tier;
struct work;

/* Starts as { 0 }. */
struct adoption {
	struct tier *tier;     /* borrowed: of all files */
	struct stub_row *rows; /* owned */
	size_t count;
	size_t capacity;
	int r; /* of the first that failed; then nothing is adopted any more */
	struct error err;
};

/* Mark the file @fd (borrowed; -1 fails), as the @request says. What goes wrong, settling
 * tells. */
void adoption_take(struct adoption *adoption, const struct work *work, int fd,
		   const struct control_request *request);

/* All that were taken are stubs, durably, and may get their names; or none is, and they must
 * not. Then it begins anew. */
int adoption_settle(struct adoption *adoption, struct error *err);
void adoption_done(struct adoption *adoption);
