/* SPDX-License-Identifier: MIT */
#pragma once
/* One entry that a commit changes, from the moment the walk meets it until its manifest is
 * written; and the queue that keeps changes in the order of keys while their content is
 * still being read or waits for the pack that it is in.
 *
 * Threads: one at a time.
 */
#include "archive/walk_level.h"
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>

struct link;

enum change_kind {
	CHANGE_PUT,    /* the manifest becomes the entry's current version */
	CHANGE_LINK,   /* likewise; its content is that of another name of the inode */
	CHANGE_REMOVE, /* the entry goes */
};

struct change {
	enum change_kind kind;
	struct manifest manifest;  /* key is always set */
	struct manifest *previous; /* owned: the current version before; NULL: none */
	const struct source_root *root; /* borrowed; NULL for what comes from no path */
	struct link *link; /* owned use: of CHANGE_LINK, or of an inode's first name */
	unsigned waiting;  /* for content: it is settled at 0 */
	bool failed;       /* was reported, and is left out */
	bool forced;       /* a new version even if nothing changed */
	bool carried;      /* its content is known, and was not read */
	struct change *next;
};

/* The caller frees *change_out with change_free(). -ENOMEM. */
int change_new(enum change_kind kind, const uint8_t *key, size_t key_size,
	       const struct source_root *root, struct change **change_out);
void change_free(struct change *change);
DEFINE_AUTOPTR(change);

/* Where the entry is in the source, for messages; its path in the archive if it is in none.
 * The caller frees; NULL: no memory. */
char *change_path(const struct change *change);

/* First in, first out. Starts as { 0 }. */
struct change_queue {
	struct change *first;
	struct change *last;
	size_t count;
};

/* Takes @change over. */
void change_queue_push(struct change_queue *queue, struct change *change);

/* The oldest change if it is settled, which the caller then owns; else NULL. */
struct change *change_queue_take(struct change_queue *queue);

/* Free all. */
void change_queue_done(struct change_queue *queue);
