/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads small files, many in one task: content, hash, extended attributes and holes.
 *
 * Threads: one thread fills, submits, waits for and clears a batch; a worker reads it.
 */
#include "archive/source_file.h"
#include "archive/xattrs.h"
#include "base/cleanup.h"
#include "base/pool.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct reading;

#define BATCH_FILES_MAX 64u
#define BATCH_FOLDERS_MAX 16u      /* each may keep a descriptor open */
#define BATCH_SIZE (1024u * 1024u) /* bytes of content */

/* One file and what came of it. */
struct batch_file {
	struct reading *reading; /* owned */
	uint32_t offset;         /* bytes, of its content in the batch's data */
	int r;                   /* 0, -ESTALE: it changed, or why it can't be read */
	const char *action;      /* that failed */
	struct stat stat;        /* after it was read */
	struct hash hash;
	struct xattrs xattrs; /* owned */
	struct holes holes;   /* owned */
};

struct small_batch {
	struct task task;
	struct task_group group;
	uint8_t *data; /* BATCH_SIZE bytes; borrowed */
	uint32_t used;
	unsigned count;
	unsigned folders; /* how often the folder changed from one file to the next */
	struct batch_file files[BATCH_FILES_MAX];
	struct small_batch *next; /* for whoever holds it */
};

/* Prepare an empty batch over BATCH_SIZE bytes at @data. */
void small_batch_init(struct small_batch *batch, uint8_t *data);
/* Waits if it was submitted. */
void small_batch_done(struct small_batch *batch);

/* Whether the file, of at most BATCH_SIZE bytes, still fits. */
bool small_batch_fits(const struct small_batch *batch, const struct reading *reading);
/* Take @reading over; its stat says how much is read. */
void small_batch_add(struct small_batch *batch, struct reading *reading);

void small_batch_submit(struct small_batch *batch, struct pool *pool);
void small_batch_wait(struct small_batch *batch);

/* Free what the files own (readings that were taken away apart) and make it empty. */
void small_batch_clear(struct small_batch *batch);
