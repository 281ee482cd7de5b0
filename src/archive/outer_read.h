/* SPDX-License-Identifier: MIT */
#pragma once
/* Bytes of a log that its own volume can't give, from the group of the outer code that holds
 * them: data of a member, or parity, frames and all. Any thread.
 */
#include <stddef.h>
#include <stdint.h>

struct error;
struct uuid;
struct volume_set;

/* Reconstruct @size bytes at @log_offset of @volume, reading as many bytes of k other shards.
 * These are verified, but the result is a candidate: the caller compares it with the hash of
 * what it asked for. -ENOENT: some of the bytes are in no group; -ENOMEDIUM or -EBADMSG: too
 * many shards are away or damaged, and the text names their volumes; -ENOMEM. */
int outer_read(struct volume_set *set, const struct uuid *volume, uint64_t log_offset,
	       void *data, size_t size, struct error *err);
