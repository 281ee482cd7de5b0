/* SPDX-License-Identifier: MIT */
#pragma once
/* A source of a few packs in memory, each on a medium of its own and holding one file, whose
 * frames are compressed and stored by turns (two of each). Bytes of it can be lost, and a
 * medium can hang.
 *
 * Threads: as a source; what the test sets is set while nobody reads, but for the medium that
 * hangs.
 */
#include "archive/source.h"
#include "base/mutex.h"

#include <stdatomic.h>

enum {
	PACK_COUNT = 4,
	PACK_FRAMES = 16,
	PACK_SIZE = PACK_FRAMES * 256 * 1024, /* bytes */
};

struct memory_pack {
	struct segment_ref ref;
	struct segment_table table;
	struct segment_frame frames[PACK_FRAMES];
	struct hash hashes[PACK_FRAMES];
	uint8_t *bytes;  /* PACK_SIZE: its content */
	uint8_t *stored; /* its frames, from stored offset 0 on */
	uint32_t lost;   /* stored bytes [lost, lost_end) can't be read */
	uint32_t lost_end;
};

struct segment_source {
	struct source source;
	struct memory_pack packs[PACK_COUNT];
	atomic_ullong bytes_read; /* stored ones */
	atomic_ullong expected;   /* bytes of which it was told that they will be read */
	atomic_uint unnamed;      /* reads by threads without a log_subject() */
	struct mutex mutex;
	struct cond changed;
	int hanging;      /* pack whose medium does not answer, or -1; mutex */
	unsigned waiting; /* threads that wait for it; mutex */
};

void segment_source_init(struct segment_source *source);
void segment_source_done(struct segment_source *source);

/* The file of a pack; nothing in it is owned. */
struct manifest segment_source_file(const struct segment_source *source, unsigned pack);

/* Let the medium of @pack hang (-1: none any more). */
void segment_source_hang(struct segment_source *source, int pack);
/* Block until @count threads wait for the medium that hangs. */
void segment_source_await(struct segment_source *source, unsigned count);
