/* SPDX-License-Identifier: MIT */
#pragma once
/* The wire form of records (docs/format.md 4), for record_encode.c and record_decode.c. */
#include "base/bytes.h"
#include "volume/record.h"

#include <stddef.h>

#define RECORD_VERSION 1
#define RECORD_MAGIC "BFRC"
#define RECORD_INCOMPATIBLE 0xffffu     /* mask of flags */
#define RECORD_FLAG_GROUPS 0x1u         /* incompatible */
#define RECORD_FLAG_CHECKPOINT 0x10000u /* compatible */

struct record_wire {
	uint8_t magic[4];
	le16 version;
	uint8_t kind;
	uint8_t reserved;
	le32 size;
	le32 flags;
	uint8_t volume[UUID_SIZE];
	uint8_t epoch[UUID_SIZE];
	struct hash archive_id;
	le64 sequence;
	le64 previous_offset;
	struct hash previous_hash;
	le64 log_start;
	le64 log_end;
	le64 stripe_number;
	le32 stripe_count;
	le32 segment_count;
	le32 page_count;
	le32 foreign_count;
	le32 head_size;
	le32 info_size;
};

static_assert(sizeof(struct record_wire) == 176, "docs/format.md 4");
static_assert(offsetof(struct record_wire, kind) == 6, "docs/format.md 4");
static_assert(offsetof(struct record_wire, size) == 8, "docs/format.md 4");
static_assert(offsetof(struct record_wire, flags) == 12, "docs/format.md 4");
static_assert(offsetof(struct record_wire, volume) == 16, "docs/format.md 4");
static_assert(offsetof(struct record_wire, epoch) == 32, "docs/format.md 4");
static_assert(offsetof(struct record_wire, archive_id) == 48, "docs/format.md 4");
static_assert(offsetof(struct record_wire, sequence) == 80, "docs/format.md 4");
static_assert(offsetof(struct record_wire, previous_offset) == 88, "docs/format.md 4");
static_assert(offsetof(struct record_wire, previous_hash) == 96, "docs/format.md 4");
static_assert(offsetof(struct record_wire, log_start) == 128, "docs/format.md 4");
static_assert(offsetof(struct record_wire, log_end) == 136, "docs/format.md 4");
static_assert(offsetof(struct record_wire, stripe_number) == 144, "docs/format.md 4");
static_assert(offsetof(struct record_wire, stripe_count) == 152, "docs/format.md 4");
static_assert(offsetof(struct record_wire, foreign_count) == 164, "docs/format.md 4");
static_assert(offsetof(struct record_wire, info_size) == 172, "docs/format.md 4");

struct stripe_wire {
	le64 number;
	le64 offset;
	le64 stride;
	le64 log_start;
	uint8_t epoch[UUID_SIZE];
	le16 data;
	le16 parity;
	le16 frames;
	le16 data_count;
	uint8_t kind;
	uint8_t reserved[15];
};

static_assert(sizeof(struct stripe_wire) == 72, "docs/format.md 4");
static_assert(offsetof(struct stripe_wire, epoch) == 32, "docs/format.md 4");
static_assert(offsetof(struct stripe_wire, data) == 48, "docs/format.md 4");
static_assert(offsetof(struct stripe_wire, kind) == 56, "docs/format.md 4");

struct extent_wire {
	le32 payload_size;
	le32 area_size;
	struct hash hash;
};

static_assert(sizeof(struct extent_wire) == 40, "docs/format.md 4");

struct segment_wire {
	struct hash id;
	le64 index;
	le64 log_offset;
	le32 content_size;
	le32 stored_size;
	le32 frame_count;
	uint8_t kind;
	uint8_t reserved[19];
};

static_assert(sizeof(struct segment_wire) == 80, "docs/format.md 4");
static_assert(offsetof(struct segment_wire, content_size) == 48, "docs/format.md 4");
static_assert(offsetof(struct segment_wire, kind) == 60, "docs/format.md 4");

struct foreign_wire {
	struct segment_wire segment;
	uint8_t volume[UUID_SIZE];
};

static_assert(sizeof(struct foreign_wire) == 96, "docs/format.md 4");

struct place_wire {
	struct hash hash;
	le64 log_offset;
	le32 stored_size;
	uint8_t kind;
	uint8_t reserved[3];
};

static_assert(sizeof(struct place_wire) == 48, "docs/format.md 4");
static_assert(offsetof(struct place_wire, kind) == 44, "docs/format.md 4");

/* Groups (docs/format.md 4.1). */
struct group_wire {
	le32 entry_size;
	le16 data;
	le16 parity;
	le16 number;
	le16 member_count;
	le32 run_count;
	le64 size;
	uint8_t reserved[8];
	struct hash id;
};

static_assert(sizeof(struct group_wire) == 64, "docs/format.md 4.1");
static_assert(offsetof(struct group_wire, size) == 16, "docs/format.md 4.1");
static_assert(offsetof(struct group_wire, id) == 32, "docs/format.md 4.1");

struct group_member_wire {
	uint8_t volume[UUID_SIZE];
	le64 log_start;
	le64 log_size;
	le32 stripe_count;
	uint8_t reserved[4];
};

static_assert(sizeof(struct group_member_wire) == 40, "docs/format.md 4.1");

struct group_run_wire {
	le64 first;
	le64 count;
	le64 log_offset;
};

static_assert(sizeof(struct group_run_wire) == 24, "docs/format.md 4.1");

/* What is left to read while decoding. */
struct record_input {
	const uint8_t *data;
	size_t size;
};

/* Move @size bytes, which are known to be there, to @wire. */
void record_take(struct record_input *in, void *wire, size_t size);

/* Read one stripe's entry, none of which lies behind @log_end. On failure too what
 * *stripe_out owns is released with stripe_info_done(). */
int record_take_stripe(struct record_input *in, uint64_t log_end,
		       struct stripe_info *stripe_out, struct error *err);
