/* SPDX-License-Identifier: MIT */
#pragma once
/* Where an archive's objects come from: tree pages by hash, segments by id. Readers speak
 * only this, so that the local volumes and, later, another machine look the same to them.
 * What a source returns is verified against the hash or id it was asked by; frames are
 * verified by the reader, against the segment's table, and parts of them by nobody else.
 *
 * Threads: every call may come from any thread; implementations lock inside.
 */
#include "base/cleanup.h"
#include "chunker/segment.h"
#include "chunker/segment_table.h"
#include "merkle/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

/* A segment that was found, with its verified table. Immutable. Reference counted by the
 * source that made it. */
struct segment_ref {
	struct hash id;
	uint64_t index;
	struct segment_info info;
	struct segment_table *table;
	uint64_t medium; /* segments with the same number wait for the same volume */
	bool unproven; /* its own table is lost: frames have no hashes to compare with, and
			* a frame of stored size 0 stands for what can't be found any more */
};

struct source_ops {
	int (*page)(struct source *source, const struct hash *hash,
		    struct bytes *payload_out, struct error *err);
	int (*segment)(struct source *source, const struct hash *id, uint64_t index,
		       const struct segment_ref **segment_out, struct error *err);
	void (*segment_unref)(struct source *source, const struct segment_ref *segment);
	int (*frames)(struct source *source, const struct segment_ref *segment,
		      uint32_t first, uint32_t count, uint8_t *data, struct error *err);
	int (*part)(struct source *source, const struct segment_ref *segment,
		    uint32_t offset, uint32_t size, uint8_t *data, struct error *err);
	/* NULL: what is expected comes no faster. */
	void (*expect)(struct source *source, const struct segment_ref *segment,
		       uint32_t offset, uint32_t size);
	/* NULL where asking again gives the same. */
	int (*again)(struct source *source, const struct segment_ref *segment,
		     uint32_t number, uint8_t *data, struct error *err);
	/* NULL: reading need not be more ahead than usual. */
	uint64_t (*window)(struct source *source);
	void (*free)(struct source *source);
};

struct source {
	const struct source_ops *ops;
};

/* The payload of the tree or list page with this hash (docs/format.md 7.2), verified; the
 * caller frees payload_out->data. -ENOENT unknown, -ENOMEDIUM its volume is not attached
 * (the text names it), -EBADMSG beyond repair. */
int source_page(struct source *source, const struct hash *hash, struct bytes *payload_out,
		struct error *err);

/* The segment with this id at this index; release with source_segment_unref(). Errors as
 * source_page(). Tables are cached (bounded). */
int source_segment(struct source *source, const struct hash *id, uint64_t index,
		   const struct segment_ref **segment_out, struct error *err);
void source_segment_unref(struct source *source, const struct segment_ref *segment);

/* The stored bytes of frames [first, first + count) of @segment, contiguous, into @data
 * (the sum of their stored sizes). -EBADMSG if some are beyond repair: ask for single
 * frames to save the rest. */
int source_frames(struct source *source, const struct segment_ref *segment,
		  uint32_t first, uint32_t count, uint8_t *data, struct error *err);

/* Whether both are cut into frames in the same way, so that frame numbers and stored offsets
 * of one hold for the other. */
bool segment_same_frames(const struct segment_ref *a, const struct segment_ref *b);

/* Whether @data is the content of frame @number, by the hash in the table (an unproven segment
 * has none). -EBADMSG. */
int segment_check_frame(const struct segment_ref *segment, uint32_t number,
			const uint8_t *data, struct error *err);

/* Whether the source verifies what it returns by itself, leaf by leaf, so that parts of
 * frames may be used without the frame's hash. Only then: stored bytes [offset, offset +
 * size) of @segment. -EBADMSG as above: ask for less to save the rest. */
bool source_has_parts(const struct source *source);
int source_part(struct source *source, const struct segment_ref *segment, uint32_t offset,
		uint32_t size, uint8_t *data, struct error *err);

/* Stored bytes [offset, offset + size) of @segment will be asked for soon: begin to fetch
 * them, if that takes no waiting. */
void source_expect(struct source *source, const struct segment_ref *segment,
		   uint32_t offset, uint32_t size);

/* Whether a frame that does not match its hash may be another one when it is asked for once
 * more, past all caches. Only then: its stored bytes. */
bool source_has_more(const struct source *source);
int source_again(struct source *source, const struct segment_ref *segment,
		 uint32_t number, uint8_t *data, struct error *err);

/* Bytes of content to read ahead so that the way here is never idle; 0: it makes no
 * difference. */
uint64_t source_window(struct source *source);

/* Close and free; NULL is a no-op. */
void source_free(struct source *source);
DEFINE_AUTOPTR(source);
