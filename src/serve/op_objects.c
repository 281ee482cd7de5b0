/* SPDX-License-Identifier: MIT */
/* Objects by what they are known by: what a program wants that verifies everything by itself.
 *
 * A segment's table is sent as its header and its tail, as they are in the log (docs/format.md
 * 6), without the metadata; the id proves both. Frames are sent as they are stored. */
#include "serve/op.h"

#include "archive/archive.h"
#include "archive/backing.h"
#include "archive/source.h"
#include "base/error.h"
#include "base/text.h"
#include "serve/answer.h"
#include "serve/parameter.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BINARY "application/octet-stream"

struct segment_body {
	struct body base;
	struct backing *backing; /* owned use */
	struct source *source;
	const struct segment_ref *segment; /* owned use */
	uint32_t first;                    /* stored byte where the body begins */
};

/* What stands in the request's path, as text and as hash. */
static void take_hash(const struct request *request, char etag_out[HASH_HEX_SIZE + 2],
		      struct hash *hash_out)
{
	char hex[HASH_HEX_SIZE] = "";

	memcpy(hex, request->key.data, HASH_HEX_SIZE - 1);
	(void)hash_from_hex(hex, hash_out); /* the route sees to the digits */
	(void)snprintf(etag_out, HASH_HEX_SIZE + 2, "\"%s\"", hex);
}

static struct source *source_of(struct backing *backing)
{
	return archive_source(backing_archive(backing));
}

int op_page(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	char etag[HASH_HEX_SIZE + 2];
	struct bytes page = { 0 };
	struct hash hash;
	int r;

	take_hash(request, etag, &hash);
	r = source_page(source_of(request->backing), &hash, &page, err);
	if (r < 0)
		return r;
	r = text_append_bytes(&text, page.data, page.size);
	free(page.data);
	if (r < 0)
		return error_set(err, r, "no memory for a page");
	r = answer_text(request, 200, BINARY, &text, err);
	return r < 0 ? r : answer_is_constant(request, etag, err);
}

/* Segments. */

static int find_segment(struct request *request, struct source *source,
			char etag_out[HASH_HEX_SIZE + 2],
			const struct segment_ref **segment_out, struct error *err)
{
	struct hash id;
	uint64_t index;
	int r;

	take_hash(request, etag_out, &id);
	r = parameter_number(request, "index", 0, SEGMENT_INDEX_MAX, &index, err);
	if (r < 0)
		return r;
	r = source_segment(source, &id, index, segment_out, err);
	if (r == 0 && (*segment_out)->unproven) {
		source_segment_unref(source, *segment_out);
		r = error_set(err, -EBADMSG, "the segment's table is lost");
	}
	return r;
}

static int append_table(const struct segment_ref *segment, struct text *text)
{
	struct segment_info info = segment->info;
	size_t tail_size = segment_tail_size(info.frame_count);
	uint8_t header[SEGMENT_HEADER_SIZE];
	autofree uint8_t *tail = malloc(tail_size);
	int r;

	if (!tail)
		return -ENOMEM;
	info.metadata = NULL;
	info.metadata_size = 0;
	segment_header_encode(&info, header);
	segment_tail_encode(&info, segment->table->frames, segment->table->hashes, tail);
	r = text_append_bytes(text, header, sizeof(header));
	return r < 0 ? r : text_append_bytes(text, tail, tail_size);
}

int op_table(struct request *request, struct error *err)
{
	struct source *source = source_of(request->backing);
	const struct segment_ref *segment = NULL;
	autotext struct text text = { 0 };
	char etag[HASH_HEX_SIZE + 2];
	int r;

	r = find_segment(request, source, etag, &segment, err);
	if (r < 0)
		return r;
	r = append_table(segment, &text);
	source_segment_unref(source, segment);
	if (r < 0)
		return error_set(err, r, "no memory for a table");
	return answer_text(request, 200, BINARY, &text, err);
}

/* Frames. */

static int read_stored(struct body *body, uint64_t offset, void *data, size_t size,
		       size_t *size_out, struct error *err)
{
	struct segment_body *stored = (struct segment_body *)body;
	int r;

	r = source_part(stored->source, stored->segment, stored->first + (uint32_t)offset,
			(uint32_t)size, data, err);
	*size_out = r < 0 ? 0 : size;
	return r;
}

static void free_stored(struct body *body)
{
	struct segment_body *stored = (struct segment_body *)body;

	source_segment_unref(stored->source, stored->segment);
	backing_unref(stored->backing);
	free(stored);
}

/* The stored bytes of frames [first, first + count) of @segment, which is taken over. */
static int send_frames(struct request *request, const struct segment_ref *segment,
		       uint32_t first, uint32_t count, struct error *err)
{
	static const struct body_ops ops = { read_stored, free_stored, NULL };
	const struct segment_frame *from = &segment->table->frames[first];
	const struct segment_frame *last = &segment->table->frames[first + count - 1];
	struct source *source = source_of(request->backing);
	struct segment_body *stored = calloc(1, sizeof(*stored));
	struct stream_part part = { 0 };
	struct stream *stream = NULL;
	int r;

	if (!stored) {
		source_segment_unref(source, segment);
		return error_set(err, -ENOMEM, "no memory for frames");
	}
	part.span.size = last->stored_offset + last->stored_size - from->stored_offset;
	*stored = (struct segment_body){
		.base = { &ops, part.span.size },
		.backing = backing_ref(request->backing),
		.source = source,
		.segment = segment,
		.first = from->stored_offset,
	};
	r = stream_new(&request->server->streams, &stored->base, "a segment", &part, 1,
		       &stream, err);
	if (r < 0)
		return r;
	r = request->head ? stream_check(stream, err) : stream_prefetch(stream, err);
	if (r < 0) {
		stream_close(stream);
		return r;
	}
	return answer_stream(request, 200, BINARY, stream, err);
}

int op_frames(struct request *request, struct error *err)
{
	struct source *source = source_of(request->backing);
	const struct segment_ref *segment = NULL;
	char etag[HASH_HEX_SIZE + 2];
	uint64_t first;
	uint64_t count;
	int r;

	r = parameter_number(request, "first", 0, SEGMENT_FRAME_MAX, &first, err);
	if (r == 0)
		r = parameter_number(request, "count", 1, SEGMENT_FRAME_MAX, &count, err);
	if (r == 0)
		r = find_segment(request, source, etag, &segment, err);
	if (r < 0)
		return r;
	if (count == 0 || first >= segment->table->frame_count ||
	    count > segment->table->frame_count - first) {
		r = error_set(err, -EINVAL, "the segment has %" PRIu32 " frames",
			      segment->table->frame_count);
		source_segment_unref(source, segment);
		return r;
	}
	return send_frames(request, segment, (uint32_t)first, (uint32_t)count, err);
}
