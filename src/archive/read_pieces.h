/* SPDX-License-Identifier: MIT */
#pragma once
/* What one read gives, as pieces of memory in the order of the content: in frames of the
 * cache, which stay there meanwhile, and in a buffer of the reader's. Who only passes bytes
 * on saves a copy of them.
 *
 * Threads: one at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame;
struct frame_cache;

#define READ_PIECES_MAX 32u /* what would take more is copied into the buffer */
#define READ_PIECES_SLACK \
	256u /* bytes that the buffer has more than are asked for: the
				* headers of stored frames stay in it, between the pieces */

struct read_piece {
	const uint8_t *data;
	size_t size;
	struct frame *frame; /* in use; NULL: it lies in the buffer */
};

struct read_pieces {
	struct frame_cache *cache; /* borrowed; of the frames */
	uint8_t *next;             /* borrowed; free bytes of the buffer */
	size_t slack;              /* bytes of it beyond what is still asked for */
	size_t size;               /* bytes of all pieces */
	unsigned count;
	struct read_piece pieces[READ_PIECES_MAX];
};

/* @buffer is borrowed and has READ_PIECES_SLACK bytes more than will be asked for. */
void read_pieces_init(struct read_pieces *pieces, uint8_t *buffer);
/* Stop using the frames. */
void read_pieces_done(struct read_pieces *pieces);

/* Stop using the frames, but have copies of what they lent, in the buffer. */
void read_pieces_own(struct read_pieces *pieces);

/* Copy @size bytes from byte @from on; there must be so many. */
void read_pieces_copy(const struct read_pieces *pieces, size_t from, void *data,
		      size_t size);

/* The next piece is the @size bytes at pieces->next. */
void read_pieces_add(struct read_pieces *pieces, size_t size);

/* Whether there is room for @count pieces at pieces->next, with @gaps bytes between them in
 * all; then each is added after read_pieces_skip() to where it begins. */
bool read_pieces_have_room(const struct read_pieces *pieces, size_t count, size_t gaps);
void read_pieces_skip(struct read_pieces *pieces, size_t gap);

/* The next piece is @size bytes of the content of @frame, from byte @skip of it on. The
 * caller's use of it is taken over. False: there is no room, and nothing was done. */
bool read_pieces_lend(struct read_pieces *pieces, struct frame_cache *cache,
		      struct frame *frame, size_t skip, size_t size);
