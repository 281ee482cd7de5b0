/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads the content of files: manifest -> pieces or pack -> frames -> bytes. Every frame is
 * verified against its segment's table, which was verified against the segment's id, which
 * the manifest names; so no byte leaves here that was not proved. One library for cat,
 * restore, diff; what serves reads to many threads opens files with archive/open_file.h.
 *
 * Threads: a content is immutable once open. A reader (decoder, scratch frames) belongs to
 * one thread at a time; any number may share a source and a cache.
 */
#include "base/cleanup.h"
#include "merkle/manifest.h"

#include <stddef.h>
#include <stdint.h>

struct content;
struct error;
struct frame_cache;
struct reader;
struct source;

/* Decoded frames of which a part was read are shared through @cache; with NULL, the last one
 * is kept. Both are borrowed. A reader takes READER_MEMORY bytes, which the caller
 * reserves. */
#define READER_MEMORY (1536u << 10)
int reader_new(struct source *source, struct frame_cache *cache,
	       struct reader **reader_out, struct error *err);
void reader_free(struct reader *reader);
DEFINE_AUTOPTR(reader);

/* Where the content of @manifest (a file) lies. Where the manifest lists the pieces itself,
 * checks that they give its hash (-EBADMSG). Nothing is read; list pages follow later. */
int content_open(const struct manifest *manifest, struct content **content_out,
		 struct error *err);
/* The same for a long xattr value. */
int content_open_xattr(const struct manifest_xattr *xattr, struct content **content_out,
		       struct error *err);
/* Another user of the same content, who also calls content_free(). */
struct content *content_ref(struct content *content);
void content_free(struct content *content);
DEFINE_AUTOPTR(content);

uint64_t content_size(const struct content *content);

/* Read exactly @size bytes at @offset; the range must lie within the content (-EINVAL).
 * -EBADMSG: some of these bytes are lost beyond repair; @data is then undefined.
 * -ENOMEDIUM: on a volume that is not attached. */
int content_read(const struct content *content, struct reader *reader, uint64_t offset,
		 void *data, size_t size, struct error *err);

/* The end of the frame that holds @offset: reading up to it decodes one frame, of at most
 * FRAME_SIZE_MAX bytes, and a loss is at most that much. Bytes from the start of the content.
 * May read the segment's table. -EBADMSG: what is there is lost; if it is known how far, that
 * is *end_out, which may be more than a frame, else that is unchanged. */
int content_frame_end(const struct content *content, struct reader *reader,
		      uint64_t offset, uint64_t *end_out, struct error *err);

/* Read everything once and compare with the manifest's hash. -EBADMSG if it differs. */
int content_verify(const struct content *content, struct reader *reader,
		   struct error *err);
