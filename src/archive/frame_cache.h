/* SPDX-License-Identifier: MIT */
#pragma once
/* Decoded frames that several readers share: bounded in bytes, scan-resistant, and each
 * frame is decoded once even if many ask for it at the same time. Frames in it are
 * immutable and verified; they are known by the stretch of content that they hold, so a
 * segment that lies in two places in different frames is never mixed up.
 *
 * Internally locked: any thread. No lock is held while a frame is decoded.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct error;
struct frame_cache;

struct frame_key {
	struct hash id;  /* of the segment */
	uint64_t index;  /* likewise */
	uint32_t offset; /* bytes, in the segment's content */
	uint32_t size;   /* bytes, 1 .. FRAME_SIZE_MAX */
};

/* A frame that the caller uses until frame_cache_release(). */
struct frame {
	struct frame_key key;
	uint8_t *data; /* key.size bytes; written only by who loads it */
};

enum frame_want {
	FRAME_WHOLE, /* if it is being loaded, wait; if it is not there, load it */
	FRAME_PART,  /* a part would do: load it only if it was asked for not long ago */
	FRAME_AHEAD, /* load it if it is not there; wait for nobody */
};

enum frame_found {
	FRAME_HIT,  /* *frame_out is ready */
	FRAME_LOAD, /* the caller fills frame->data, then calls frame_cache_loaded() or
		     * frame_cache_failed() */
	FRAME_NONE, /* no frame: not worth it, nothing to do, or no memory */
};

/* At most @size_max bytes are kept, in use or not, the bookkeeping of 150 bytes a frame
 * aside. They are taken from @budget (borrowed) a MiB at a time, while it has more than an
 * eighth to spare; when it has less, they go back. NULL: the caller has reserved all.
 * -ENOMEM. */
int frame_cache_new(struct budget *budget, uint64_t size_max,
		    struct frame_cache **cache_out, struct error *err);
/* No frame may be in use (asserted). */
void frame_cache_free(struct frame_cache *cache);
DEFINE_AUTOPTR(frame_cache);

/* May block on the thread that loads the same frame (FRAME_WHOLE and FRAME_PART). A thread
 * that has a frame to load must ask for another one by FRAME_AHEAD only. */
enum frame_found frame_cache_get(struct frame_cache *cache, const struct frame_key *key,
				 enum frame_want want, struct frame **frame_out);

/* Whether it is there or being loaded, at this moment. */
bool frame_cache_has(struct frame_cache *cache, const struct frame_key *key);

/* The frame is ready for everybody; the caller goes on using it. */
void frame_cache_loaded(struct frame_cache *cache, struct frame *frame);
/* It could not be loaded; the caller does not use it any more. Who waits tries itself. */
void frame_cache_failed(struct frame_cache *cache, struct frame *frame);

void frame_cache_release(struct frame_cache *cache, struct frame *frame);

/* Bytes that frames take now. */
uint64_t frame_cache_bytes(struct frame_cache *cache);
