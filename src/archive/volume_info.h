/* SPDX-License-Identifier: MIT */
#pragma once
/* What a volume's header record says about it and its set (docs/format.md 5.1): label,
 * number, the roster of volumes known when it was begun, the policy, the last head. It
 * survives the loss of config.toml and catalog. Plain values; encode and decode are pure
 * and safe on hostile input.
 */
#include "merkle/hash.h"
#include "merkle/manifest.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define VOLUME_INFO_MEMBERS_MAX 65536u

/* One line of the roster. */
struct volume_member {
	struct uuid uuid;
	uint64_t number; /* in the set, from 1 */
	char *label;     /* owned */
	bool parity;     /* it holds parity of the outer code */
	bool retired;
};

struct volume_info {
	char *label; /* owned */
	uint64_t number;
	bool parity; /* it holds parity of the outer code, and nothing else */
	struct entry_time created;
	struct volume_member *members; /* owned; this volume included */
	size_t member_count;
	struct {
		bool tiered;
		uint32_t data;       /* k */
		uint32_t parity;     /* m */
		uint64_t spread;     /* bytes */
		uint64_t burst;      /* that a volume is to survive, bytes; 0: none */
		uint64_t burst_from; /* bytes */
		uint32_t burst_data; /* members of a group within a volume */
		uint32_t copies;     /* of everything; 1 if not said */
		uint32_t min_copies; /* 0: all of them */
		uint32_t outer_data, outer_parity; /* the outer code; 0: none */
	} policy;
	struct hash head; /* the last one when the volume was begun; zero: none */
};

/* One line of JSON at *json_out, which the caller frees. -EINVAL if a label is not UTF-8,
 * -ENOMEM. */
int volume_info_encode(const struct volume_info *info, char **json_out,
		       struct error *err);

/* -EBADMSG. Release *info_out with volume_info_done(). */
int volume_info_decode(const char *json, size_t size, struct volume_info *info_out,
		       struct error *err);

/* Append to the roster. -ENOMEM. */
int volume_info_add_member(struct volume_info *info, const struct uuid *uuid,
			   uint64_t number, const char *label, bool parity);

/* Free what @info owns and zero it. */
void volume_info_done(struct volume_info *info);

#define autovolume_info __attribute__((__cleanup__(volume_info_done)))
