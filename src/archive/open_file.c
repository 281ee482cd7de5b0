/* SPDX-License-Identifier: MIT */
/* A read goes piece by piece: the segment that holds the next byte, a reader for its medium,
 * and as much as that gives. The reader is taken when the segment is at hand, so a volume
 * that does not answer when it is asked for a segment's table holds no reader.
 *
 * Who reads in order is told from who does not by streams: places where a read would go on
 * from an earlier one. The kernel asks for several stretches at a time and its requests
 * overtake each other, so a read near such a place belongs to its stream, too. Up to
 * STREAM_COUNT of them are followed in one file; the one that was longest not used goes when
 * a read fits none.
 *
 *   - the first read at a new place wants a part of its frames only, unless it is large or
 *     at the file's start
 *   - later ones of a stream want whole frames, and what follows them is decoded ahead: a
 *     window that doubles from WINDOW_MIN to WINDOW_MAX, or to what the way to the source
 *     takes, extended when half of it is used
 *
 * Of a file whose piece ids stand on list pages, the last few pieces are remembered: looking
 * one up is a read of the medium.
 */
#include "archive/open_file.h"

#include "archive/content.h"
#include "archive/read_ahead.h"
#include "archive/read_service.h"
#include "archive/reader_pool.h"
#include "archive/source.h"
#include "base/error.h"
#include "base/mutex.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define STREAM_COUNT 4u
#define NEAR_READS 8u         /* of the size at hand: what counts as near ... */
#define NEAR_MAX (4u << 20)   /* ... and in bytes at most */
#define LARGE (128u << 10)    /* bytes: a read that is likely to go on */
#define WINDOW_MIN (1u << 20) /* bytes */
#define WINDOW_MAX (8u << 20) /* bytes */
#define PIECES_REMEMBERED 16u

struct stream {
	uint64_t next;   /* byte of the content at which reading would go on */
	unsigned reads;  /* in order so far; 0: not in use */
	uint64_t ahead;  /* up to where reading ahead was asked for */
	uint64_t window; /* bytes */
	uint64_t used;   /* tick of the last read */
};

struct open_file {
	struct read_service *service; /* borrowed */
	struct content *content;      /* a reference */
	struct mutex mutex;           /* guards all below */
	uint64_t tick;
	struct stream streams[STREAM_COUNT];
	struct content_piece *pieces; /* PIECES_REMEMBERED, by index; NULL: not needed */
};

/* What a read wants of a stream's surroundings. */
struct outlook {
	enum frame_want want;
	const struct stream *stream; /* names who asks */
	uint64_t ahead; /* read [ahead, ahead_end) ahead, if that is not empty */
	uint64_t ahead_end;
};

/* Takes over the content. */
static int open_content(struct read_service *service, struct content *content,
			struct open_file **file_out, struct error *err)
{
	autoptr(open_file) file = calloc(1, sizeof(*file));

	if (!file) {
		content_free(content);
		return error_set(err, -ENOMEM, "out of memory");
	}
	mutex_init(&file->mutex);
	file->service = service;
	file->content = content;
	if (content->page_count > 0) {
		file->pieces = calloc(PIECES_REMEMBERED, sizeof(*file->pieces));
		if (!file->pieces)
			return error_set(err, -ENOMEM, "out of memory");
	}
	*file_out = take_ptr(file);
	return 0;
}

int open_file_new(struct read_service *service, const struct manifest *manifest,
		  struct open_file **file_out, struct error *err)
{
	struct content *content;
	int r;

	r = content_open(manifest, &content, err);
	if (r < 0)
		return r;
	return open_content(service, content, file_out, err);
}

int open_file_new_xattr(struct read_service *service, const struct manifest_xattr *xattr,
			struct open_file **file_out, struct error *err)
{
	struct content *content;
	int r;

	r = content_open_xattr(xattr, &content, err);
	if (r < 0)
		return r;
	return open_content(service, content, file_out, err);
}

void open_file_free(struct open_file *file)
{
	struct read_ahead *ahead;

	if (!file)
		return;
	ahead = read_service_ahead(file->service);
	for (unsigned i = 0; ahead && i < STREAM_COUNT; i++)
		read_ahead_forget(ahead, &file->streams[i]);
	content_free(file->content);
	free(file->pieces);
	mutex_done(&file->mutex);
	free(file);
}

uint64_t open_file_size(const struct open_file *file)
{
	return content_size(file->content);
}

/* Streams. */

/* The larger the reads, the more of them may be under way. */
static bool is_near(const struct stream *stream, uint64_t offset, size_t size)
{
	uint64_t near = NEAR_READS * (uint64_t)size;

	if (near > NEAR_MAX)
		near = NEAR_MAX;
	return stream->reads > 0 && offset + near >= stream->next &&
	       offset <= stream->next + near;
}

/* The stream that a read goes on with; a new one if there is none. */
static struct stream *find_stream_locked(struct open_file *file, uint64_t offset,
					 size_t size) requires_mutex(file->mutex)
{
	struct stream *oldest = &file->streams[0];

	for (unsigned i = 0; i < STREAM_COUNT; i++) {
		struct stream *stream = &file->streams[i];

		if (is_near(stream, offset, size))
			return stream;
		if (stream->used < oldest->used)
			oldest = stream;
	}
	*oldest = (struct stream){ .next = offset };
	return oldest;
}

/* Move the stream's window: what to read ahead, if anything. */
static void extend_window(const struct open_file *file, struct stream *stream,
			  struct outlook *outlook)
{
	uint64_t most = source_window(read_service_source(file->service));
	uint64_t size = file->content->size;
	uint64_t end;

	if (most < WINDOW_MAX)
		most = WINDOW_MAX;

	if (stream->ahead < stream->next)
		stream->ahead = stream->next;
	if (stream->ahead - stream->next > stream->window / 2)
		return;
	stream->window = stream->window == 0         ? WINDOW_MIN
			 : stream->window < most / 2 ? stream->window * 2
						     : most;
	end = stream->next + stream->window;
	if (end > size)
		end = size;
	if (end <= stream->ahead)
		return;
	outlook->ahead = stream->ahead;
	outlook->ahead_end = end;
	stream->ahead = end;
}

static struct outlook note_read(struct open_file *file, uint64_t offset, size_t size)
{
	struct outlook outlook = { .want = FRAME_PART };
	struct stream *stream;

	mutex_scope(&file->mutex);
	stream = find_stream_locked(file, offset, size);
	if (stream->reads > 0 || size >= LARGE || offset == 0)
		outlook.want = FRAME_WHOLE;
	outlook.stream = stream;
	stream->used = ++file->tick;
	stream->reads++;
	if (stream->next < offset + size)
		stream->next = offset + size;
	if (stream->reads > 1)
		extend_window(file, stream, &outlook);
	return outlook;
}

/* Reading. */

static bool recall_piece(struct open_file *file, uint64_t offset,
			 struct content_piece *piece_out)
{
	uint64_t index = offset / SEGMENT_SIZE_MAX;
	const struct content_piece *piece;

	if (!file->pieces)
		return false;
	mutex_scope(&file->mutex);
	piece = &file->pieces[index % PIECES_REMEMBERED];
	*piece_out = *piece;
	return piece->size > 0 && piece->index == index;
}

static int find_piece(struct open_file *file, uint64_t offset,
		      struct content_piece *piece_out, struct error *err)
{
	int r;

	if (recall_piece(file, offset, piece_out))
		return 0;
	r = content_locate(file->content, read_service_source(file->service), offset,
			   piece_out, err);
	if (r == 0 && file->pieces) {
		mutex_scope(&file->mutex);
		file->pieces[piece_out->index % PIECES_REMEMBERED] = *piece_out;
	}
	return r;
}

/* Find the piece that holds @offset, and a reader that is at its segment, which the caller
 * gives back. */
static int take_reader(struct open_file *file, uint64_t offset,
		       struct content_piece *piece_out,
		       struct segment_reader **reader_out, struct error *err)
{
	struct source *source = read_service_source(file->service);
	const struct segment_ref *segment;
	int r;

	r = find_piece(file, offset, piece_out, err);
	if (r < 0)
		return r;
	r = source_segment(source, &piece_out->id, piece_out->index, &segment, err);
	if (r < 0)
		return r;
	r = content_check_segment(file->content, piece_out, segment, err);
	if (r == 0)
		r = reader_pool_take(read_service_readers(file->service), segment->medium,
				     reader_out, err);
	if (r < 0) {
		source_segment_unref(source, segment);
		return r;
	}
	segment_reader_take(*reader_out, segment);
	return 0;
}

static void read_on(struct open_file *file, struct outlook *outlook, uint64_t medium)
{
	struct read_ahead *ahead = read_service_ahead(file->service);

	if (ahead && outlook->ahead < outlook->ahead_end)
		read_ahead_want(ahead, outlook->stream, file->content, medium,
				outlook->ahead, outlook->ahead_end);
	outlook->ahead = outlook->ahead_end; /* once is enough */
}

/* Where bytes go that are read. */
struct target {
	uint8_t *data;              /* the next of them, or ... */
	struct read_pieces *pieces; /* ... if not NULL */
	size_t done;                /* bytes */
};

/* Read at most @size bytes, at most to the end of a piece. */
static int read_piece(struct open_file *file, uint64_t offset, size_t size,
		      struct outlook *outlook, struct target *target, struct error *err)
{
	struct segment_reader *reader;
	struct content_piece piece;
	uint64_t end = offset + size;
	int r;

	r = take_reader(file, offset, &piece, &reader, err);
	if (r < 0)
		return r;
	read_on(file, outlook, segment_reader_segment(reader)->medium);
	if (end > piece.offset + piece.size)
		end = piece.offset + piece.size;
	while (r == 0 && offset < end) {
		uint32_t position = content_position(&piece, offset);
		size_t n;

		if (target->pieces)
			r = segment_reader_lend(reader, position, target->pieces,
						(size_t)(end - offset), outlook->want, &n,
						err);
		else
			r = segment_reader_read(
				reader, position, target->data + target->done,
				(size_t)(end - offset), outlook->want, &n, err);
		if (r < 0)
			break;
		offset += n;
		target->done += n;
	}
	reader_pool_give(read_service_readers(file->service), reader);
	return r;
}

static int read_to(struct open_file *file, uint64_t offset, size_t size,
		   struct target *target, struct error *err)
{
	struct outlook outlook;
	int r = 0;

	if (offset >= file->content->size)
		return 0;
	if (size > file->content->size - offset)
		size = (size_t)(file->content->size - offset);
	outlook = note_read(file, offset, size);
	while (r == 0 && target->done < size)
		r = read_piece(file, offset + target->done, size - target->done, &outlook,
			       target, err);
	return target->done > 0 ? 0 : r;
}

int open_file_read(struct open_file *file, uint64_t offset, void *data, size_t size,
		   size_t *size_out, struct error *err)
{
	struct target target = { .data = data };
	int r;

	r = read_to(file, offset, size, &target, err);
	if (r == 0)
		*size_out = target.done;
	return r;
}

int open_file_lend(struct open_file *file, uint64_t offset, struct read_pieces *pieces,
		   size_t size, struct error *err)
{
	struct target target = { .pieces = pieces };

	return read_to(file, offset, size, &target, err);
}
