/* SPDX-License-Identifier: MIT */
#pragma once
/* Records: what header, placement, commit and end stripes say (docs/format.md 4). They
 * place stripes, segments and tree pages in a volume's log and carry the heads. Plain
 * values in memory; encode and decode are pure. */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "volume/group.h"
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define RECORD_SIZE_MAX (2u << 20)    /* bytes */
#define RECORD_OFFSET_NONE UINT64_MAX /* no record before this one */

struct segment_place {
	struct hash id;
	uint64_t index;        /* position in its file / 32 MiB; 0 for a pack */
	uint64_t log_offset;   /* bytes, of the segment header */
	uint32_t content_size; /* bytes */
	uint32_t stored_size;  /* bytes, header to seek table */
	uint32_t frame_count;
	uint8_t kind;       /* enum segment_kind */
	struct uuid volume; /* encoded for foreign ones only; else the record's */
};

struct page_place {
	struct hash hash;
	uint64_t log_offset;  /* bytes, of the skippable frame */
	uint32_t stored_size; /* bytes, the whole skippable frame */
	uint8_t kind;         /* skippable kind: 4 tree page, 6 list page */
};

struct record {
	enum stripe_kind kind;
	bool checkpoint;
	struct uuid volume;
	struct uuid epoch;
	struct hash archive_id;
	uint64_t sequence;        /* in the volume, from 0 */
	uint64_t previous_offset; /* stripe offset, or RECORD_OFFSET_NONE */
	struct hash previous_hash;
	uint64_t log_start; /* covered: [log_start, log_end) */
	uint64_t log_end;
	uint64_t stripe_number;      /* of this record's own stripe */
	struct stripe_info *stripes; /* owned, like all arrays here */
	size_t stripe_count;
	struct segment_place *segments;
	size_t segment_count;
	struct page_place *pages;
	size_t page_count;
	struct segment_place *foreign;
	size_t foreign_count;
	struct group *groups; /* parity shards in this volume */
	size_t group_count;
	char *head; /* JSON, not NUL-terminated in the format, NUL-terminated here; or NULL */
	size_t head_size;
	char *info; /* likewise */
	size_t info_size;

	struct hash hash; /* of the encoded record; set by encode and decode */
};

/* Encoded size in bytes; the stripes' extents are not looked at. */
size_t record_size(const struct record *record);

/* Encode into a new buffer of record_size() bytes at *data_out that the caller frees, and
 * set record->hash. -E2BIG beyond RECORD_SIZE_MAX, -ENOMEM. */
int record_encode(struct record *record, uint8_t **data_out, size_t *size_out,
		  struct error *err);

/* Decode @size bytes into a new record; free it with record_free(). -EBADMSG if the bytes
 * are not exactly one undamaged record; -EPROTONOSUPPORT for a newer version or an unknown
 * incompatible flag; -ENOMEM. Safe on hostile input. */
int record_decode(const uint8_t *data, size_t size, struct record **record_out,
		  struct error *err);

void record_free(struct record *record);
DEFINE_AUTOPTR(record);
