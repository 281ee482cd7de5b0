/* SPDX-License-Identifier: MIT */
#pragma once
/* What a path of the archive is, for the request that asks. Threads: as the request. */
#include "catalog/history.h"

struct error;
struct request;
struct text;

/* An entry at one version. The top of the archive is a folder without row and manifest. */
struct found {
	bool top;
	struct version_row row;
	struct manifest manifest;
};
#define autofound __attribute__((__cleanup__(found_done))) struct found
void found_done(struct found *found);

bool found_is_folder(const struct found *found);

/* The entry at request->key, at commit @at, or version @number of it if that is not 0.
 * -EACCES if the token does not reach it (ways to what it reaches: only if @ways), -ENOENT. */
int look_up(struct request *request, uint64_t at, uint64_t number, bool ways,
	    struct found *found_out, struct error *err);

/* The one name that the token may see in the folder request->key, because it leads to what it
 * reaches. Without data: all of them. Borrowed from the request. */
struct bytes look_up_only(const struct request *request);
/* Whether @row is that name, if there is one. */
bool look_up_shows(const struct bytes *only, const struct version_row *row);

/* Append the manifest of @row, one line of JSON without its newline, as far as the token may
 * know it: where it was committed from and other names of the same file are left out
 * unless it reaches them. */
int look_up_line(const struct request *request, const struct version_row *row,
		 struct text *text, struct error *err);
