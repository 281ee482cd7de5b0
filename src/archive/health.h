/* SPDX-License-Identifier: MIT */
#pragma once
/* Health: reads every byte of the attached volumes, repairs what can be repaired, and says
 * what that means for the files. The volumes are judged by their own records; the catalog
 * only tells which files lie where, and keeps the ledger of what was verified when.
 *
 * Threads: one run belongs to the thread that opened the archive. Commits, mounts and other
 * readers may be at work; a second run on the same archive is refused.
 */
#include "archive/copy_up.h"
#include "archive/health_damage.h"
#include "archive/health_files.h"

struct archive;
struct error;

struct health_options {
	bool check;                /* write nothing to the volumes */
	bool deep;                 /* then read every file, and compare its hash */
	const struct uuid *volume; /* this one only, or NULL */
	int64_t before; /* leave out what was found sound at or after this time; INT64_MAX: all */
	bool resume;   /* go on with the last run if that was stopped */
	bool one_pass; /* as volume/scrub.h has it */
	uint64_t rate; /* bytes a second at most; 0: no limit */
	/* So much of so much is read; called from any thread. */
	void (*progress)(void *context, uint64_t bytes, uint64_t total);
	/* A line for people about something that is not as it should be. */
	void (*problem)(void *context, const char *text);
	bool (*stopped)(void *context); /* from any thread */
	void *context;
};

struct health_volume {
	struct uuid uuid;
	uint64_t number;
	char *label;  /* owned */
	char *file;   /* owned: its path (archive/places.h); NULL: not attached */
	bool checked; /* to its end */
	int code;     /* if not: why, a negative errno */
	char *problem; /* owned: the same as text; or what else is wrong with it; or NULL */
	struct scrub_report scrub;
	unsigned margin;   /* extents that every stripe looked at can still lose */
	uint64_t appended; /* bytes of the last record's parity that were made up for */
	uint64_t
		lost_records; /* that the catalog knows, and the volume has not any more */
};

struct health_report {
	struct health_volume *volumes; /* owned */
	size_t volume_count;
	struct damage_list damage;
	struct health_files files;
	bool resumed;
	int ledger_code; /* why not all was entered in the ledger, a negative errno: -EBUSY if a
			  * commit kept the catalog; 0: it was */
	struct copy_up_report copies; /* with [volume] copies: made, and still missing */
	uint64_t bytes;               /* verified */
	uint64_t found, repaired, lost; /* places */
	uint64_t elapsed;               /* nanoseconds */
};

/* Of an archive that another machine has, the files are read, and it must be a check.
 * 0 also where damage was found. -EBUSY: another run is at work, and the text says which;
 * -EINTR; -ENOENT: no such volume; -EBADMSG: the catalog is damaged; -ENOMEM, ...
 * *report_out is to be released in any case. */
int health_run(struct archive *archive, const struct health_options *options,
	       struct health_report *report_out, struct error *err);
void health_report_done(struct health_report *report);

/* Whether damage was found, and whether something can't be brought back. */
bool health_found_damage(const struct health_report *report);
bool health_found_loss(const struct health_report *report);
