/* SPDX-License-Identifier: MIT */
#pragma once
/* What lies in all places of an archive, against what the catalog knows: volumes that are
 * missing, have other names, are there twice or in an older state, and files that are
 * something else. Reads little of each. One thread, the one that owns the catalog handle.
 */
#include "volume/record.h"

#include <stdbool.h>
#include <stdint.h>

struct archive;
struct error;
struct volume_row;

enum volume_finding {
	FINDING_FOUND,     /* as it should be */
	FINDING_RENAMED,   /* under another name than it was given */
	FINDING_SWAPPED,   /* under the name that another volume was given */
	FINDING_TWICE,     /* a copy of a file that is in use; not used */
	FINDING_OLDER,     /* ends before the last record that the catalog knows */
	FINDING_FORK,      /* its last record is not the one that the catalog knows */
	FINDING_MISSING,   /* no file is this volume */
	FINDING_RETIRED,   /* no file, and none is asked for */
	FINDING_FOREIGN,   /* a volume of another archive */
	FINDING_NO_VOLUME, /* its writer was interrupted, or it never was one */
	FINDING_UNREADABLE,
	FINDING_PLACE_AWAY, /* the place itself is not there */
};

struct volume_sighting {
	enum volume_finding finding;
	const char *file;   /* path of the file or the place; NULL if missing */
	const char *label;  /* of the volume; NULL if it is none of the archive's */
	uint64_t number;    /* likewise; 0 */
	struct uuid uuid;   /* zero if it is no volume */
	const char *detail; /* for people; "" if there is nothing to add */
};

const char *volume_finding_name(enum volume_finding finding);
/* Whether somebody should look at it. */
bool volume_finding_is_problem(enum volume_finding finding);

/* How far the file @path goes, which is the volume @row: FINDING_FOUND, or OLDER, FORK or
 * UNREADABLE with the reason in *why. */
enum volume_finding volume_judge_end(struct archive *archive,
				     const struct volume_row *row, const char *path,
				     struct error *why);

/* @visit is called for each place that is away, each file and each missing volume; what it is
 * given is borrowed. A negative result ends the scan. */
int volume_scan(struct archive *archive,
		int (*visit)(void *context, const struct volume_sighting *sighting),
		void *context, struct error *err);
