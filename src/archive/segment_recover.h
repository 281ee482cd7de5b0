/* SPDX-License-Identifier: MIT */
#pragma once
/* Stored bytes of a segment whose volume can't give them, from the outer code, proved by the
 * segment's hashes. Any thread. */
#include "archive/segment_cache.h"

struct error;
struct volume_set;

/* The @size stored bytes at @offset of @segment. Each frame that they touch is reconstructed
 * whole, decoded and compared with its hash before anything of it is handed on; header and
 * tables likewise by the segment's id. -ENOENT: they are in no group; else as outer_read(),
 * or -EBADMSG if they are not what was committed. */
int segment_recover(const struct cached_segment *segment, struct volume_set *volumes,
		    uint32_t offset, uint8_t *data, uint32_t size, struct error *err);
