/* SPDX-License-Identifier: MIT */
#pragma once
/* Where an archive comes from that has no volumes here: another machine. Whoever implements
 * this (remote/remote.h) gives archive_open() a folder with a private catalog, a source of objects and
 * a filler for the catalog; all verbs that read work on it as on a local archive.
 *
 * Threads: as the functions of struct archive; fill and source are internally locked.
 */
#include <stdint.h>

struct budget;
struct catalog_filler;
struct config;
struct error;
struct source;
struct text;

struct origin;

struct origin_ops {
	/* The folder that holds the private catalog; borrowed. */
	const char *(*folder)(struct origin *origin);
	/* A source of objects, which takes its memory from @budget; the caller frees it. */
	int (*open_source)(struct origin *origin, struct budget *budget,
			   struct source **source_out, struct error *err);
	/* Who fills the catalog that stands in the folder now; borrowed. */
	struct catalog_filler *(*filler)(struct origin *origin);
	/* What a mount is called in the list of mounts, and in messages; borrowed. */
	const char *(*name)(struct origin *origin);
	/* Readers and workers that are worth having, since each of them waits. */
	unsigned (*parallel)(struct origin *origin);
	/* Append lines "name: value" on how things are. -ENOMEM. */
	int (*describe)(struct origin *origin, struct text *text);
	/* From now on nothing is waited for: what is under way fails. */
	void (*stop)(struct origin *origin);
};

struct origin {
	const struct origin_ops *ops;
};
