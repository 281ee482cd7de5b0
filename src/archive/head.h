/* SPDX-License-Identifier: MIT */
#pragma once
/* Heads: what a commit adds to the logical history (docs/format.md 7.1). Plain values.
 * Threads: pure functions.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "merkle/manifest.h"

#include <stdint.h>

struct error;

#define HEAD_SIZE_MAX 1048576u                /* bytes of JSON */
#define HEAD_SEQUENCE_MAX (UINT64_C(1) << 62) /* more is damage */

struct head_tag {
	char *key;   /* owned */
	char *value; /* owned */
};

struct head {
	uint64_t sequence;      /* 0 for the first */
	struct hash archive_id; /* zero in the first */
	struct hash previous;   /* zero in the first */
	struct hash tree;       /* zero: empty tree, as in the first */
	struct entry_time time;
	char *message;         /* owned, or NULL */
	struct head_tag *tags; /* owned, distinct keys, in the order of the JSON */
	size_t tag_count;
	uint8_t nonce[16]; /* the first only */
	struct hash hash;  /* of the JSON; set by encode and decode */
};

/* One line of JSON at *json_out, which the caller frees; sets head->hash. -EINVAL if it could
 * not be decoded again: message or tags that are not UTF-8, a key twice, hashes that are
 * missing or out of place, more than HEAD_SIZE_MAX bytes. -ENOMEM. */
int head_encode(struct head *head, char **json_out, struct error *err);

/* Decode exactly one head; release *head_out with head_done(). -EBADMSG, also for members
 * that are unknown; -EPROTONOSUPPORT newer version; -EFBIG; -ENOMEM. */
int head_decode(const char *json, size_t size, struct head *head_out, struct error *err);

/* Free what @head owns and zero it. */
void head_done(struct head *head);
