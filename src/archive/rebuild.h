/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes an archive's catalog anew from its volumes alone, from all of them or from those
 * that are there. One thread at a time.
 */
#include <stdint.h>

struct archive;
struct error;

struct rebuild_report {
	uint64_t volumes;         /* read */
	uint64_t volumes_missing; /* that others name */
	uint64_t records;
	uint64_t commits;
	uint64_t commits_missing; /* gaps between those that are known */
	uint64_t problems;        /* told, the missing ones included */
};

/* Called for each volume or commit that is missing and everything that could not be read:
 * one sentence without a newline, borrowed. */
typedef void rebuild_problem_fn(void *context, const char *text);

/* @archive is open for writing, with or without catalog; afterwards it must be closed, as
 * the new catalog is in a new file. The old catalog stays in place until the new one is
 * complete and durable. Damage and missing volumes are problems and not errors.
 * -ENOMEDIUM: there is no volume at all. -EINVAL: volumes of several archives, and no
 * catalog to tell which one is meant. */
int rebuild_catalog(struct archive *archive, rebuild_problem_fn *problem, void *context,
		    struct rebuild_report *report_out, struct error *err);
