/* SPDX-License-Identifier: MIT */
/* Pieces that lie next to each other in the buffer are one. One place is always kept free of
 * frames, so that there is room for all that is copied. */
#include "archive/read_pieces.h"

#include "archive/frame_cache.h"

#include <assert.h>
#include <string.h>

void read_pieces_init(struct read_pieces *pieces, uint8_t *buffer)
{
	pieces->cache = NULL;
	pieces->next = buffer;
	pieces->slack = READ_PIECES_SLACK;
	pieces->size = 0;
	pieces->count = 0;
}

void read_pieces_done(struct read_pieces *pieces)
{
	for (unsigned i = 0; i < pieces->count; i++)
		if (pieces->pieces[i].frame)
			frame_cache_release(pieces->cache, pieces->pieces[i].frame);
	pieces->count = 0;
}

void read_pieces_own(struct read_pieces *pieces)
{
	for (unsigned i = 0; i < pieces->count; i++) {
		struct read_piece *piece = &pieces->pieces[i];

		if (!piece->frame)
			continue;
		memcpy(pieces->next, piece->data, piece->size);
		frame_cache_release(pieces->cache, piece->frame);
		*piece = (struct read_piece){ pieces->next, piece->size, NULL };
		pieces->next += piece->size;
	}
}

void read_pieces_copy(const struct read_pieces *pieces, size_t from, void *data,
		      size_t size)
{
	uint8_t *to = data;

	assert(from <= pieces->size && size <= pieces->size - from);
	for (const struct read_piece *piece = pieces->pieces; size > 0; piece++) {
		size_t n = piece->size;

		if (from >= n) {
			from -= n;
			continue;
		}
		n -= from;
		if (n > size)
			n = size;
		memcpy(to, piece->data + from, n);
		to += n;
		size -= n;
		from = 0;
	}
}

static void append(struct read_pieces *pieces, const uint8_t *data, size_t size,
		   struct frame *frame)
{
	assert(pieces->count < READ_PIECES_MAX);
	pieces->pieces[pieces->count++] = (struct read_piece){ data, size, frame };
	pieces->size += size;
}

void read_pieces_add(struct read_pieces *pieces, size_t size)
{
	struct read_piece *last = &pieces->pieces[pieces->count - 1];

	if (pieces->count > 0 && !last->frame &&
	    last->data + last->size == pieces->next) {
		last->size += size;
		pieces->size += size;
	} else {
		append(pieces, pieces->next, size, NULL);
	}
	pieces->next += size;
}

bool read_pieces_have_room(const struct read_pieces *pieces, size_t count, size_t gaps)
{
	return count < READ_PIECES_MAX - pieces->count && gaps <= pieces->slack;
}

void read_pieces_skip(struct read_pieces *pieces, size_t gap)
{
	assert(gap <= pieces->slack);
	pieces->slack -= gap;
	pieces->next += gap;
}

bool read_pieces_lend(struct read_pieces *pieces, struct frame_cache *cache,
		      struct frame *frame, size_t skip, size_t size)
{
	if (!read_pieces_have_room(pieces, 1, 0))
		return false;
	assert(size <= frame->key.size && skip <= frame->key.size - size);
	pieces->cache = cache;
	append(pieces, frame->data + skip, size, frame);
	return true;
}
