/* SPDX-License-Identifier: MIT */
#pragma once
/* One folder of a walk: the names that are in the source's folder next to those that the
 * catalog has for it, in one merge of two sorted lists. What did not change is dropped here,
 * so a level of an unchanged source holds its folders only.
 *
 * Threads: as the catalog.
 */
#include "archive/folder.h"
#include "archive/own_folders.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct catalog;
struct commit_monitor;
struct error;
struct lost_places;
struct source;
struct version_row;

enum walk_state {
	WALK_NEW,     /* the archive has no such entry now */
	WALK_CHANGED, /* it has, with other attributes */
	WALK_SAME,    /* it has, with the same ones; folders only */
	WALK_GONE,    /* only the archive has it */
};

struct walk_item {
	size_t name;  /* offset in the level's names */
	int64_t node; /* the catalog's, if was_folder */
	enum walk_state state;
	bool was_folder;
};

struct walk_level {
	struct folder *folder;   /* owned reference; NULL below what is gone */
	char *names;             /* owned; NUL-terminated */
	struct walk_item *items; /* owned; in order of names */
	size_t count;
	size_t next;     /* item to visit */
	size_t key_size; /* of the folder */
	bool lost;       /* its folder could not be opened again */
};

/* A committed tree: where it is read from, and its key in the archive. */
struct source_root {
	const char *path; /* absolute; borrowed */
	size_t key_size;
};

struct walk_counters {
	uint64_t unchanged_files; /* everything but folders */
	uint64_t unchanged_bytes;
	uint64_t folders; /* seen in the source */
};

struct walk_options {
	struct catalog *catalog; /* borrowed, like all below */
	struct commit_monitor *monitor;
	char *const *excludes; /* base/glob.h, matched against source paths */
	size_t exclude_count;
	bool exclude_caches;  /* of folders with a CACHEDIR.TAG, keep that file only */
	bool one_file_system; /* do not enter mount points */
	bool read_all;        /* every file counts as changed */
	const struct lost_places *lost; /* so do files that it touches; may be NULL */
	struct source *source;          /* of the archive, to ask that */
	struct own_folders own;         /* which are left out */
	/* An unchanged file with several links was passed. May be NULL. */
	int (*linked)(void *context, const uint8_t *key, size_t key_size,
		      const struct stat *stat, struct error *err);
	void *context;
};

/* Whether the file of @row, with its line, must be read although it has not changed. */
int walk_must_read(const struct walk_options *options, const struct version_row *row,
		   bool *must_out, struct error *err);

/* Make the level of @folder (a reference that is taken over also on failure; NULL: gone)
 * with the key @key, and the catalog's folder @node, if @listed. */
struct level_request {
	struct folder *folder;
	bool listed;
	int64_t node;
	const uint8_t *key; /* room for another component behind it */
	size_t key_size;
	const struct source_root *root;
};

int walk_level_build(const struct walk_options *options,
		     const struct level_request *request, struct walk_counters *counters,
		     struct walk_level *level_out, struct error *err);
void walk_level_done(struct walk_level *level);

/* The path in the source of the entry @key at or below @root; the caller frees. -ENOMEM. */
int source_root_path(const struct source_root *root, const uint8_t *key, size_t key_size,
		     char **path_out);

/* Tell of a problem with the entry @key; @r and @action go into the text. */
void walk_problem(const struct walk_options *options, const struct source_root *root,
		  const uint8_t *key, size_t key_size, int r, const char *action);
