/* SPDX-License-Identifier: MIT */
#pragma once
/* Making answers. A request gets exactly one; a later one replaces it. Threads: that of the
 * pool which has the request.
 */
#include <stddef.h>
#include <stdint.h>

struct error;
struct request;
struct stream;
struct text;

/* What is in @text, which is emptied. -ENOMEM. */
int answer_text(struct request *request, unsigned status, const char *type,
		struct text *text, struct error *err);

/* @data, which is constant. */
int answer_constant(struct request *request, const char *type, const void *data,
		    size_t size, struct error *err);

/* A stream, taken over also on failure. One of unknown size is sent in chunks. */
int answer_stream(struct request *request, unsigned status, const char *type,
		  struct stream *stream, struct error *err);

/* A status without a body: 204, or 304, which tells the @size of what was not sent. */
int answer_empty(struct request *request, unsigned status, uint64_t size,
		 struct error *err);

/* Go to @location, which is escaped. */
int answer_redirect(struct request *request, unsigned status, const char *location,
		    struct error *err);

/* An application/problem+json document (RFC 9457). If there is not even memory for that, the
 * connection ends. */
void answer_problem(struct request *request, unsigned status, const char *detail);

/* The same for the error @r. */
void answer_error(struct request *request, int r, const struct error *err);

/* Add a header to the answer that is there. */
int answer_header(struct request *request, const char *name, const char *value,
		  struct error *err);

/* The answer never changes: it is known by its hash, which @etag has between quotes. */
int answer_is_constant(struct request *request, const char *etag, struct error *err);

/* "Not Found" */
const char *answer_reason(unsigned status);
