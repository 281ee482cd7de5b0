/* SPDX-License-Identifier: MIT */
#pragma once
/* Walks a source next to what the archive has of it, in the order of keys, and yields what is
 * new, changed or gone. An explicit stack of levels and a bounded number of descriptors:
 * depth and the length of source paths are limited by the keys only.
 *
 * Threads: as the catalog.
 */
#include "archive/walk_level.h"
#include "base/cleanup.h"

struct walk;

struct walk_entry {
	enum walk_state state; /* never WALK_SAME */
	/* All borrowed until the next call. */
	const uint8_t *key;
	size_t key_size;
	const struct source_root *root;
	bool was_folder; /* in the archive */
	/* Of what is not gone: */
	struct folder *parent; /* the folder that it is in */
	const char *name;      /* in there */
	struct folder *self;   /* a folder itself, open; NULL if that failed */
	struct stat stat;
};

/* *@options is copied; what it refers to is borrowed. */
int walk_new(const struct walk_options *options, struct walk **walk_out,
	     struct error *err);
void walk_free(struct walk *walk);
DEFINE_AUTOPTR(walk);

/* Begin with @name in @parent (a reference that is taken over) as the entry @key. @root is
 * borrowed until the walk over it has ended. */
int walk_start(struct walk *walk, const struct source_root *root, struct folder *parent,
	       const char *name, const uint8_t *key, size_t key_size, struct error *err);

/* 1 and the next entry, 0 at the end. */
int walk_next(struct walk *walk, struct walk_entry *entry_out, struct error *err);

const struct walk_counters *walk_counters(const struct walk *walk);
