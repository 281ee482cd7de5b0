/* SPDX-License-Identifier: MIT */
#pragma once
/* Turns what was read of an entry into its manifest, and stores what the archive does not
 * have yet: whole small contents and long values of extended attributes go into packs.
 *
 * Threads: one at a time, as the session.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stddef.h>
#include <stdint.h>

struct change;
struct commit_monitor;
struct commit_session;
struct content_store;
struct error;
struct frame_ring;
struct frame_slot;
struct holes;
struct segment_writer;
struct stat;
struct xattrs;

struct content_counters {
	uint64_t read_size;  /* bytes of files and streams that were read */
	uint64_t new_size;   /* of these: stored */
	uint64_t known_size; /* of these: the archive had them */
};

struct content_store_options {
	struct commit_session *session; /* borrowed, like all here */
	struct commit_monitor *monitor;
	struct frame_ring *ring;
	struct segment_writer *segments;
	uint32_t frame_size; /* bytes */
};

int content_store_new(const struct content_store_options *options,
		      struct content_store **store_out, struct error *err);
/* Before the ring. */
void content_store_free(struct content_store *store);
DEFINE_AUTOPTR(content_store);

const struct content_counters *content_store_counters(const struct content_store *store);

/* Set the manifest's attributes from @stat, and take over the values of @xattrs, which is
 * empty then. */
int content_store_attributes(struct content_store *store, struct change *change,
			     const struct stat *stat, struct xattrs *xattrs,
			     struct error *err);

/* The content of a file is known: its hash and holes (taken over; may be NULL). Notes if it
 * is other content under an old mtime. The manifest's attributes must be set. */
void content_store_describe(struct content_store *store, struct change *change,
			    const struct hash *hash, struct holes *holes);

/* Store a described content of at most one frame; or one that stands in slots, which are
 * taken over. Its size is the manifest's. */
int content_store_put(struct content_store *store, struct change *change,
		      const uint8_t *data, struct error *err);
int content_store_put_slots(struct content_store *store, struct change *change,
			    struct frame_slot *slots, struct error *err);

/* So much of a large content was stored, or was there. */
void content_store_count(struct content_store *store, uint64_t new_size,
			 uint64_t known_size);

/* Write a pack, if any is left: 1, else 0. */
int content_store_step(struct content_store *store, struct error *err);
