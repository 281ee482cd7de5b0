/* SPDX-License-Identifier: MIT */
#pragma once
/* Reads the members of a group, a window of all of them at a time, and makes their parity.
 * Reads ahead: while the caller writes one window away, the next one is read. One thread at
 * a time; reading and coding run on the pool.
 */
#include "base/cleanup.h"
#include "volume/group.h"

struct budget;
struct error;
struct outer_encoder;
struct pool;
struct volume_set;

/* @group is borrowed; -ENOMEM if the budget has not enough for two small windows. */
int outer_encoder_new(const struct group *group, struct volume_set *volumes,
		      struct pool *pool, struct budget *budget,
		      struct outer_encoder **encoder_out, struct error *err);
void outer_encoder_free(struct outer_encoder *encoder);
DEFINE_AUTOPTR(outer_encoder);

/* Bytes of each parity shard, a multiple of GROUP_CHUNK_SIZE but at the end. */
struct outer_window {
	uint64_t offset;        /* in the shard */
	size_t size;            /* 0: it is over */
	uint8_t *const *parity; /* p buffers; valid until the next call */
	uint64_t read;          /* bytes of members that it took */
};

/* The next window. Fails with what reading a member gave: parity of anything but all the
 * members' verified bytes is never made. */
int outer_encoder_next(struct outer_encoder *encoder, struct outer_window *window_out,
		       struct error *err);
