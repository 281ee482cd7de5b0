/* SPDX-License-Identifier: MIT */
#pragma once
/* A file, or a stream, that is read frame by frame into the slots of a ring, and the pieces
 * that become its segments. Several pieces, of several files, may be on their way at once;
 * they are written one after the other, in the order in which they were read.
 *
 * Threads: one at a time; reading, hashing and encoding happen on the ring's workers.
 */
#include "archive/reading.h"
#include "archive/source_file.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "chunker/segment.h"
#include "merkle/tree.h"

#include <stdbool.h>
#include <stdint.h>

struct commit_session;
struct frame_ring;
struct frame_slot;
struct segment_writer;

#define PIECE_MORE 1 /* piece_step(): call again */

struct large_file {
	struct reading *reading; /* owned; NULL for a stream, or once it was taken away */
	struct change *change;   /* borrowed from the queue of changes */
	int fd;                  /* owned, unless a stream's */
	bool is_stream;
	uint64_t offset; /* bytes asked for so far */
	bool ended;      /* a stream: there is no more */
	struct holes holes;
	struct tree_accumulator tree; /* over the frames of pieces that were read */
	uint64_t known_size;          /* bytes in segments that the archive has */
	uint64_t new_size;
	int r; /* first failure: -ESTALE, the file changed, or why it can't be read */
	struct error err;

	struct hash *ids; /* owned: room for LIST_PAGE_IDS; segments not yet on a page */
	size_t id_count;
	struct hash *pages; /* owned: list pages */
	size_t page_count;
};

enum piece_state {
	PIECE_FILLING, /* slots are being added */
	PIECE_FULL,    /* all slots are there, and being read */
	PIECE_READ,    /* and have been read; the first may be encoded already */
	PIECE_WRITING, /* its segment has begun, frames are being encoded */
};

/* Up to 32 MiB of a large file; or all of one that goes into a pack. */
struct piece {
	struct large_file *file; /* owned by the last piece */
	bool last;
	enum piece_state state;
	uint64_t index;
	uint64_t size; /* bytes in its slots */
	struct frame_slot
		*slots; /* owned list; of one that is being written, what is left */
	struct frame_slot *end; /* of the list */
	unsigned slot_count;    /* in the list */
	unsigned started;       /* of these are being encoded; while it is read */
	struct piece *next;     /* for whoever holds it */
};

/* Open the file of @reading, which is taken over on success. -errno. */
int large_file_open(struct reading *reading, struct large_file **file_out);
/* For what comes from descriptor @fd (borrowed) to its end. */
int large_file_stream(struct change *change, int fd, struct large_file **file_out);
/* No slot may still be read for it. */
void large_file_free(struct large_file *file);
DEFINE_AUTOPTR(large_file);

/* Whether all of it was asked for, or it has failed. */
bool large_file_is_over(const struct large_file *file);

/* Read the next frame of at most @frame_size bytes into @slot (a stream: now, by this
 * thread): 1, or 0 at the end of a stream. A stream that fails sets file->r: 0 too. */
int large_file_read(struct large_file *file, struct frame_slot *slot,
		    uint32_t frame_size);

/* The root hash, once all pieces were read: of two frames or more. */
void large_file_root(const struct large_file *file, struct hash *root_out);

/* Move what is known about its segments into the manifest: ids, or list pages. */
int large_file_take_segments(struct large_file *file, struct commit_session *session,
			     struct error *err);

int piece_new(struct large_file *file, struct piece **piece_out);
/* Waits for its slots. Does not free the file. */
void piece_free(struct piece *piece, struct frame_ring *ring);
void piece_add(struct piece *piece, struct frame_slot *slot);

/* Wait until the piece, which is full, has been read; note its frames' hashes in the file's
 * tree. A failure is noted in file->r. */
void piece_wait(struct piece *piece);

/* Have the first @count frames of a piece that was waited for encoded, before it is known
 * whether that is needed. */
void piece_start(struct piece *piece, unsigned count);

/* Write a little more of a piece that was waited for: PIECE_MORE, or 0 when its segment is
 * complete (and its slots are released). A segment that the archive has is complete at
 * once. */
int piece_step(struct piece *piece, struct frame_ring *ring,
	       struct segment_writer *segments, struct commit_session *session,
	       struct error *err);
