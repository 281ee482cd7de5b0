/* SPDX-License-Identifier: MIT */
/* Life of a piece:
 *
 *   FILLING --32 MiB or end of file--> FULL --read--> READ --id unknown--> WRITING --> (gone)
 *                                                     READ --id known---> (gone)
 *
 * Which it will be is asked only once the segment before is complete. So that the workers do
 * not run dry meanwhile, a few frames are encoded ahead (piece_start()).
 *
 * A failure to read is the file's, not the piece's: the pieces that are on their way run to
 * their end, because a segment that has begun must be completed; later ones are dropped.
 * Segments of a file that failed in the end stay in the archive unnamed, and serve as dedup
 * source for the next attempt.
 *
 * Segment ids: up to MANIFEST_SEGMENTS_INLINE_MAX stand in the manifest. Of a larger file
 * all stand on list pages, which are written whenever one is full, so that memory does not
 * grow with the file but for 32 bytes in 62 GiB.
 */
#include "archive/large_file.h"

#include "archive/change.h"
#include "archive/commit_session.h"
#include "archive/folder.h"
#include "archive/frame_ring.h"
#include "archive/segment_writer.h"
#include "archive/tree_page.h"
#include "base/file.h"
#include "chunker/packer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static int make(struct change *change, struct large_file **file_out)
{
	autoptr(large_file) file = calloc(1, sizeof(*file));

	if (!file)
		return -ENOMEM;
	file->fd = -1;
	file->change = change;
	file->ids = calloc(LIST_PAGE_IDS, sizeof(*file->ids));
	if (!file->ids)
		return -ENOMEM;
	tree_accumulator_init(&file->tree);
	*file_out = take_ptr(file);
	return 0;
}

int large_file_open(struct reading *reading, struct large_file **file_out)
{
	autoptr(large_file) file = NULL;
	int r;

	r = make(reading->change, &file);
	if (r < 0)
		return r;
	r = source_file_open(reading->folder->fd, reading->name, &file->fd);
	if (r < 0)
		return r;
	source_file_settle(&reading->stat);
	if (holes_likely(&reading->stat)) {
		r = holes_read(file->fd, (uint64_t)reading->stat.st_size, &file->holes);
		if (r < 0)
			return r;
	}
	/* A hint: frames are asked for by several threads, not quite in order. */
	(void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	file->reading = reading;
	*file_out = take_ptr(file);
	return 0;
}

int large_file_stream(struct change *change, int fd, struct large_file **file_out)
{
	struct large_file *file = NULL;
	int r;

	r = make(change, &file);
	if (r < 0)
		return r;
	file->fd = fd;
	file->is_stream = true;
	*file_out = file;
	return 0;
}

void large_file_free(struct large_file *file)
{
	if (!file)
		return;
	if (!file->is_stream && file->fd >= 0)
		(void)close(file->fd); /* was read only */
	reading_free(file->reading);
	holes_done(&file->holes);
	free(file->ids);
	free(file->pages);
	free(file);
}

bool large_file_is_over(const struct large_file *file)
{
	if (file->r < 0)
		return true;
	if (file->is_stream)
		return file->ended;
	return file->offset >= (uint64_t)file->reading->stat.st_size;
}

static void fail(struct large_file *file, int r, const struct error *err)
{
	if (file->r == 0) {
		file->r = r;
		file->err = *err;
	}
}

static int read_stream(struct large_file *file, struct frame_slot *slot,
		       uint32_t frame_size)
{
	struct error err = { 0 };
	size_t got;
	int r;

	r = read_full(file->fd, slot->data, frame_size, &got);
	if (r < 0) {
		error_set_errno(&err, r, "reading the stream");
		fail(file, r, &err);
		return 0;
	}
	file->ended = got < frame_size;
	if (got == 0)
		return 0;
	frame_slot_hash(slot, file->offset, (uint32_t)got);
	file->offset += got;
	return 1;
}

int large_file_read(struct large_file *file, struct frame_slot *slot, uint32_t frame_size)
{
	uint64_t left;
	uint32_t size;

	assert(!large_file_is_over(file));
	if (file->is_stream)
		return read_stream(file, slot, frame_size);

	left = (uint64_t)file->reading->stat.st_size - file->offset;
	size = left < frame_size ? (uint32_t)left : frame_size;
	/* A pack's frames are shared with others: there, zeroes are read like all else. */
	if (file->reading->stat.st_size > PACK_FILE_MAX &&
	    holes_contain(&file->holes, file->offset, size))
		frame_slot_hash_hole(slot, file->offset, size);
	else
		frame_slot_read(slot, file->fd, file->offset, size);
	file->offset += size;
	return 1;
}

void large_file_root(const struct large_file *file, struct hash *root_out)
{
	tree_accumulator_root(&file->tree, root_out);
}

/* Put the ids that are not on a page yet on one. */
static int write_list(struct large_file *file, struct commit_session *session,
		      struct error *err)
{
	struct hash *pages;
	int r;

	pages = reallocarray(file->pages, file->page_count + 1, sizeof(*pages));
	if (!pages)
		return error_set(err, -ENOMEM, "no memory for list pages");
	file->pages = pages;
	r = commit_session_put_list(session, file->ids, file->id_count,
				    &pages[file->page_count], err);
	if (r < 0)
		return r;
	file->page_count++;
	file->id_count = 0;
	return 0;
}

int large_file_take_segments(struct large_file *file, struct commit_session *session,
			     struct error *err)
{
	struct manifest *manifest = &file->change->manifest;
	int r;

	if (file->page_count == 0 && file->id_count <= MANIFEST_SEGMENTS_INLINE_MAX) {
		manifest->segments = take_ptr(file->ids);
		manifest->segment_count = file->id_count;
		return 0;
	}
	if (file->id_count > 0) {
		r = write_list(file, session, err);
		if (r < 0)
			return r;
	}
	manifest->segment_pages = take_ptr(file->pages);
	manifest->segment_page_count = file->page_count;
	return 0;
}

int piece_new(struct large_file *file, struct piece **piece_out)
{
	struct piece *piece = calloc(1, sizeof(*piece));

	if (!piece)
		return -ENOMEM;
	piece->file = file;
	piece->index = file->offset / SEGMENT_SIZE_MAX;
	*piece_out = piece;
	return 0;
}

static void release_slots(struct piece *piece, struct frame_ring *ring)
{
	while (piece->slots) {
		struct frame_slot *slot = piece->slots;

		piece->slots = slot->next;
		(void)frame_slot_wait(slot, NULL); /* nobody wants the result */
		frame_ring_release(ring, slot);
	}
	piece->end = NULL;
	piece->slot_count = 0;
}

void piece_free(struct piece *piece, struct frame_ring *ring)
{
	if (!piece)
		return;
	release_slots(piece, ring);
	free(piece);
}

void piece_add(struct piece *piece, struct frame_slot *slot)
{
	assert(piece->state == PIECE_FILLING);
	slot->next = NULL;
	if (piece->end)
		piece->end->next = slot;
	else
		piece->slots = slot;
	piece->end = slot;
	piece->slot_count++;
	piece->size += slot->content_size;
}

void piece_wait(struct piece *piece)
{
	struct large_file *file = piece->file;

	assert(piece->state == PIECE_FULL);
	for (struct frame_slot *slot = piece->slots; slot; slot = slot->next) {
		struct error err = { 0 };
		int r = frame_slot_wait(slot, &err);

		if (r < 0)
			fail(file, r == -ENODATA ? -ESTALE : r, &err);
		tree_accumulator_add(&file->tree, &slot->hash);
	}
	piece->state = PIECE_READ;
}

void piece_start(struct piece *piece, unsigned count)
{
	unsigned i = 0;

	assert(piece->state == PIECE_READ);
	for (struct frame_slot *slot = piece->slots; slot && i < count; slot = slot->next)
		if (i++ >= piece->started)
			frame_slot_encode(slot);
	piece->started = i;
}

/* Have the segment begun, or find that there is nothing to do: 0. */
static int begin(struct piece *piece, struct frame_ring *ring,
		 struct segment_writer *segments, struct commit_session *session,
		 struct error *err)
{
	struct large_file *file = piece->file;
	int r;

	if (file->id_count == LIST_PAGE_IDS) { /* now, not amid the segment */
		r = write_list(file, session, err);
		if (r < 0)
			return r;
	}
	r = segment_writer_begin(segments, SEGMENT_PIECE, piece->index, piece->slots,
				 &file->ids[file->id_count], err);
	if (r < 0)
		return r;
	file->id_count++;
	if (r == SEGMENT_KNOWN) {
		file->known_size += piece->size;
		release_slots(piece, ring);
		return 0;
	}
	file->new_size += piece->size;
	piece_start(piece, piece->slot_count);
	piece->state = PIECE_WRITING;
	return PIECE_MORE;
}

int piece_step(struct piece *piece, struct frame_ring *ring,
	       struct segment_writer *segments, struct commit_session *session,
	       struct error *err)
{
	struct frame_slot *slot;
	int r;

	if (piece->state == PIECE_READ)
		return begin(piece, ring, segments, session, err);
	slot = piece->slots;
	r = frame_slot_wait(slot, err);
	if (r < 0)
		return r;
	r = segment_writer_frame(segments, slot, err);
	if (r < 0)
		return r;
	piece->slots = slot->next;
	piece->slot_count--;
	frame_ring_release(ring, slot);
	return piece->slots ? PIECE_MORE : 0;
}
