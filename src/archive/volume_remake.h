/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume that is lost, made again from the groups of the outer code: byte for byte in its
 * closed stripes. It grows in a file of another name, is read back and verified as a whole,
 * and only then takes the name of a volume. May be killed at any point; the next run goes on.
 *
 * The archive is open for writing. One thread at a time.
 */
#include "volume/stripe_info.h"

#include <stdbool.h>

struct archive;
struct error;

#define VOLUME_REMAKE_SUFFIX ".part" /* behind the name, until it is whole */

struct volume_remake_options {
	struct uuid volume;
	const char *folder; /* where the new file goes */
	bool replace;       /* the volume is there, and goes out of use then */
	bool (*stopped)(void *context); /* may be NULL */
	/* So much of so much of the log is there; may be NULL. */
	void (*progress)(void *context, uint64_t bytes, uint64_t total);
	void *context;
};

struct volume_remake_report {
	char *file;       /* path of the new file; owned */
	uint64_t stripes; /* in it */
	uint64_t payload; /* bytes of its log */
	uint64_t missing; /* bytes of the log that were in no group, and are lost */
	uint64_t shards;  /* of a parity volume: made again on other volumes */
	bool parity;      /* it was one: no file was made */
	bool in_a_place;  /* the folder is one where the archive looks for volumes */
	uint64_t elapsed; /* nanoseconds */
};

/* -EEXIST: it is attached (and not to be replaced), or a file is in the way; -ENODATA: it is
 * to be replaced, and has bytes behind what can't be read; the old file stays; -EINTR; or what
 * reading gave: -ENOMEDIUM names the volumes that it takes. */
int volume_remake(struct archive *archive, const struct volume_remake_options *options,
		  struct volume_remake_report *report_out, struct error *err);
void volume_remake_report_done(struct volume_remake_report *report);
