/* SPDX-License-Identifier: MIT */
/* The tag is the content's BLAKE3: what has the same tag is the same bytes, whatever path and
 * version it is asked by.
 *
 * What a browser would run (HTML, SVG) is sent with a policy that puts it into a sandbox: an
 * archived page can't act as a page of this server.
 *
 * The first bytes are read before the answer begins, so that what is lost or out of reach is
 * said by the status.
 */
#include "serve/content.h"

#include "archive/backing.h"
#include "archive/open_file.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "merkle/manifest.h"
#include "serve/answer.h"
#include "serve/connection.h"
#include "serve/http_condition.h"
#include "serve/http_range.h"
#include "serve/mime.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BOUNDARY_SIZE 33u /* bytes, NUL included */

struct content_body {
	struct body base;
	struct backing *backing; /* owned use */
	struct open_file *file;
};

/* What of the request and the file decides about the answer. */
struct offer {
	const struct manifest *manifest;
	const struct mime *mime;
	char etag[HASH_HEX_SIZE + 2];
	char modified[HTTP_DATE_MAX]; /* empty: none */
	struct http_validators validators;
	struct http_conditions conditions;
};

/* The body. */

static int read_content(struct body *body, uint64_t offset, void *data, size_t size,
			size_t *size_out, struct error *err)
{
	struct content_body *content = (struct content_body *)body;

	return open_file_read(content->file, offset, data, size, size_out, err);
}

static int lend_content(struct body *body, uint64_t offset, struct read_pieces *pieces,
			size_t size, struct error *err)
{
	struct content_body *content = (struct content_body *)body;

	return open_file_lend(content->file, offset, pieces, size, err);
}

static void free_content(struct body *body)
{
	struct content_body *content = (struct content_body *)body;

	open_file_free(content->file);
	backing_unref(content->backing);
	free(content);
}

static int open_content(struct request *request, const struct manifest *manifest,
			struct body **body_out, struct error *err)
{
	static const struct body_ops ops = { read_content, free_content, lend_content };
	struct content_body *content = calloc(1, sizeof(*content));
	int r;

	if (!content)
		return error_set(err, -ENOMEM, "no memory for a file");
	content->base.ops = &ops;
	content->base.size = manifest->size;
	content->backing = backing_ref(request->backing);
	r = open_file_new(backing_service(content->backing), manifest, &content->file,
			  err);
	if (r < 0) {
		free_content(&content->base);
		return r;
	}
	*body_out = &content->base;
	return 0;
}

/* What is offered. */

/* A date that is not past yet would not be true of what changes until then. */
static void set_modified(struct offer *offer)
{
	int64_t seconds = offer->manifest->mtime.seconds;

	if (seconds > clock_realtime_ns() / (int64_t)NS_PER_SECOND ||
	    http_date_format(seconds, offer->modified) < 0)
		return;
	offer->validators.has_modified = true;
	offer->validators.modified = seconds;
}

static void make_offer(const struct request *request, const struct manifest *manifest,
		       struct offer *offer)
{
	const struct bytes *key = &manifest->key;
	size_t name_size = key_name_size(key->data, key->size);

	*offer = (struct offer){
		.manifest = manifest,
		.mime = mime_find(key->data + key->size - name_size, name_size),
		.conditions = {
			.if_match = connection_header(request, "If-Match"),
			.if_none_match = connection_header(request, "If-None-Match"),
			.if_modified_since =
				connection_header(request, "If-Modified-Since"),
			.if_unmodified_since =
				connection_header(request, "If-Unmodified-Since"),
			.if_range = connection_header(request, "If-Range"),
		},
	};
	offer->etag[0] = '"';
	hash_to_hex(&manifest->hash, offer->etag + 1);
	offer->etag[HASH_HEX_SIZE] = '"';
	offer->etag[HASH_HEX_SIZE + 1] = '\0';
	offer->validators.etag = offer->etag;
	set_modified(offer);
}

static int add_headers(struct request *request, const struct offer *offer,
		       struct error *err)
{
	int r;

	r = answer_header(request, "ETag", offer->etag, err);
	if (r == 0 && offer->modified[0])
		r = answer_header(request, "Last-Modified", offer->modified, err);
	if (r == 0)
		r = answer_header(request, "Accept-Ranges", "bytes", err);
	if (r == 0 && offer->mime->active)
		r = answer_header(
			request, "Content-Security-Policy",
			"sandbox; default-src 'none'; style-src 'unsafe-inline'; "
			"img-src data:",
			err);
	return r;
}

/* Parts. */

/* What no content has in it: the beginning of its own hash. */
static void make_boundary(const struct offer *offer, char boundary_out[BOUNDARY_SIZE])
{
	(void)snprintf(boundary_out, BOUNDARY_SIZE, "%.32s", offer->etag + 1);
}

static int set_part(struct stream_part *part, struct text *text,
		    const struct http_span *span)
{
	part->text_size = text->size;
	part->text = text_take(text);
	part->span = *span;
	return part->text ? 0 : -ENOMEM;
}

/* One part for each range, with its own head, and what ends them all. */
static int make_parts(const struct offer *offer, const struct http_ranges *ranges,
		      struct stream_part *parts)
{
	char boundary[BOUNDARY_SIZE];
	autotext struct text text = { 0 };
	int r = 0;

	make_boundary(offer, boundary);
	for (size_t i = 0; r == 0 && i < ranges->count; i++) {
		const struct http_span *span = &ranges->spans[i];

		r = text_appendf(&text,
				 "%s--%s\r\nContent-Type: %s\r\n"
				 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64
				 "\r\n\r\n",
				 i ? "\r\n" : "", boundary, offer->mime->type,
				 span->offset, span->offset + span->size - 1,
				 offer->manifest->size);
		if (r == 0)
			r = set_part(&parts[i], &text, span);
	}
	if (r == 0)
		r = text_appendf(&text, "\r\n--%s--\r\n", boundary);
	if (r == 0)
		r = set_part(&parts[ranges->count], &text, &(struct http_span){ 0 });
	return r;
}

/* Answers. */

/* Send @parts, which are taken over. */
static int send_parts(struct request *request, const struct offer *offer, unsigned status,
		      const char *type, struct stream_part *parts, size_t count,
		      struct error *err)
{
	autofree char *path = NULL;
	struct stream *stream = NULL;
	struct body *body = NULL;
	int r;

	request_give_catalog(request);
	r = open_content(request, offer->manifest, &body, err);
	if (r == 0 &&
	    key_to_path(offer->manifest->key.data, offer->manifest->key.size, &path) < 0)
		r = error_set(err, -ENOMEM, "no memory for a path");
	if (r < 0) {
		for (size_t i = 0; i < count; i++)
			free(parts[i].text);
		body_free(body);
		return r;
	}
	r = stream_new(&request->server->streams, body, path, parts, count, &stream, err);
	if (r == 0)
		r = request->head ? stream_check(stream, err)
				  : stream_prefetch(stream, err);
	if (r < 0) {
		stream_close(stream);
		return r;
	}
	return answer_stream(request, status, type, stream, err);
}

static int send_whole(struct request *request, const struct offer *offer,
		      struct error *err)
{
	struct stream_part part = { .span = { 0, offer->manifest->size } };

	return send_parts(request, offer, 200, offer->mime->type, &part, 1, err);
}

static int send_range(struct request *request, const struct offer *offer,
		      const struct http_span *span, struct error *err)
{
	struct stream_part part = { .span = *span };
	char text[80];
	int r;

	r = send_parts(request, offer, 206, offer->mime->type, &part, 1, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
		       span->offset, span->offset + span->size - 1,
		       offer->manifest->size);
	return answer_header(request, "Content-Range", text, err);
}

static int send_ranges(struct request *request, const struct offer *offer,
		       const struct http_ranges *ranges, struct error *err)
{
	struct stream_part parts[HTTP_RANGES_MAX + 1] = { 0 };
	char boundary[BOUNDARY_SIZE];
	char type[80];

	if (make_parts(offer, ranges, parts) < 0) {
		for (size_t i = 0; i <= ranges->count; i++)
			free(parts[i].text);
		return error_set(err, -ENOMEM, "no memory for an answer");
	}
	make_boundary(offer, boundary);
	(void)snprintf(type, sizeof(type), "multipart/byteranges; boundary=%s", boundary);
	return send_parts(request, offer, 206, type, parts, ranges->count + 1, err);
}

static int refuse_range(struct request *request, const struct offer *offer,
			struct error *err)
{
	char text[40];

	answer_problem(request, 416, "the ranges begin behind the end");
	(void)snprintf(text, sizeof(text), "bytes */%" PRIu64, offer->manifest->size);
	return answer_header(request, "Content-Range", text, err);
}

static int send_content(struct request *request, const struct offer *offer,
			struct error *err)
{
	struct http_ranges ranges;
	const char *text = NULL;
	int r = 0;

	if (connection_count_header(request, "Range") == 1 &&
	    http_condition_allows_range(&offer->conditions, &offer->validators))
		text = connection_header(request, "Range");
	switch (http_range_parse(text, offer->manifest->size, &ranges)) {
	case HTTP_RANGE_UNSATISFIABLE:
		return refuse_range(request, offer, err);
	case HTTP_RANGE_SOME:
		r = ranges.count == 1 ? send_range(request, offer, &ranges.spans[0], err)
				      : send_ranges(request, offer, &ranges, err);
		break;
	case HTTP_RANGE_NONE:
		r = send_whole(request, offer, err);
		break;
	}
	return r < 0 ? r : add_headers(request, offer, err);
}

int content_answer(struct request *request, const struct manifest *manifest,
		   struct error *err)
{
	struct offer offer;
	int r;

	make_offer(request, manifest, &offer);
	switch (http_condition_check(&offer.conditions, &offer.validators)) {
	case HTTP_CONDITION_FAILED:
		answer_problem(request, 412, "there is something else now");
		return 0;
	case HTTP_CONDITION_NOT_MODIFIED:
		r = answer_empty(request, 304, manifest->size, err);
		return r < 0 ? r : add_headers(request, &offer, err);
	case HTTP_CONDITION_HOLDS:
		break;
	}
	return send_content(request, &offer, err);
}

int content_answer_piece(struct request *request, const struct manifest *manifest,
			 uint64_t number, struct error *err)
{
	struct stream_part part = { 0 };
	struct offer offer;

	if (number >= UINT64_MAX / MANIFEST_SEGMENT_SIZE ||
	    number * MANIFEST_SEGMENT_SIZE >= manifest->size)
		return error_set(err, -ENOENT, "the file has no such piece");
	make_offer(request, manifest, &offer);
	part.span.offset = number * MANIFEST_SEGMENT_SIZE;
	part.span.size = manifest->size - part.span.offset;
	if (part.span.size > MANIFEST_SEGMENT_SIZE)
		part.span.size = MANIFEST_SEGMENT_SIZE;
	return send_parts(request, &offer, 200, "application/octet-stream", &part, 1,
			  err);
}
