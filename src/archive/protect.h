/* SPDX-License-Identifier: MIT */
#pragma once
/* Protection against the loss of whole volumes, and against a long burst within one: groups
 * what is in no group yet, and makes the parity shards that groups lack. Runs in bounded memory, and may be killed at any
 * point: a group is there when the record that lists its shard is, and a group that got
 * some of its shards gets the others next time.
 *
 * The archive is open for writing. One thread at a time.
 */
#include "archive/burst_protect.h"
#include "archive/outer_cover.h"

struct archive;
struct error;
struct uuid;

struct protect_options {
	uint64_t rate;  /* bytes of data a second to read at most; 0: no limit */
	bool dry_run;   /* only say what there is to do */
	bool full_only; /* leave what would make groups of fewer than k members */
	bool automatic; /* after a commit: only what the configuration wants done then */
	const struct uuid
		*lost; /* a parity volume whose shards are to be made again; or NULL */
	bool (*stopped)(void *context); /* asked now and then; may be NULL */
	/* So much of so much is read; may be NULL. */
	void (*progress)(void *context, uint64_t bytes, uint64_t total);
	void *context;
};

struct protect_report {
	struct outer_totals before, after;
	struct burst_totals burst; /* after */
	uint64_t groups;           /* made */
	uint64_t shards;           /* made again in groups that there were */
	uint64_t read;             /* bytes of data; with dry_run: that would be */
	uint64_t written;          /* bytes of parity; with dry_run: about so many */
	uint64_t elapsed;          /* nanoseconds */
	bool stopped;              /* before all was done */
};

/* -EINVAL: no outer code is set, and no volume is large enough for one within it; -EBADMSG: something can't be read, and was left out; else what reading or writing gave: what was grouped until
 * then stays. */
int protect_run(struct archive *archive, const struct protect_options *options,
		struct protect_report *report_out, struct error *err);
