/* SPDX-License-Identifier: MIT */
#pragma once
/* Heads: what a commit adds to the logical history (docs/format.md 7.1). Plain values. */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "merkle/manifest.h"

#include <stdint.h>

struct error;

struct head_tag {
	char *key; /* owned */
	char *value;
};

struct head {
	uint64_t sequence;	 /* 0 for the first */
	struct hash archive_id;	 /* zero in the first */
	struct hash previous;	 /* zero in the first */
	struct hash tree;	 /* zero: empty tree */
	struct entry_time time;
	char *message; /* owned, or NULL */
	struct head_tag *tags; /* owned */
	size_t tag_count;
	uint8_t nonce[16]; /* the first only */
	struct hash hash;  /* of the JSON; set by encode and decode */
};

/* One line of JSON at *json_out, which the caller frees; sets head->hash. -EINVAL if message
 * or tags are not UTF-8. */
int head_encode(struct head *head, char **json_out, struct error *err);
int head_decode(const char *json, size_t size, struct head *head_out, struct error *err);
void head_done(struct head *head);
