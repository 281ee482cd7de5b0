/* SPDX-License-Identifier: MIT */
#pragma once
/* Bytes of one volume's log from copies on other volumes: for health, where a stripe's own
 * parity does not suffice. What comes out proves nothing; a leaf's hash decides.
 */
#include "base/cleanup.h"
#include "volume/record.h"

struct archive;
struct copy_rescue;
struct error;

/* Note where everything lies on @volume: 64 bytes of the archive's budget for each segment and
 * page. By the thread that owns the archive's catalog handle. -ENOMEM. */
int copy_rescue_new(struct archive *archive, const struct uuid *volume,
		    struct copy_rescue **rescue_out, struct error *err);
void copy_rescue_free(struct copy_rescue *rescue);
DEFINE_AUTOPTR(copy_rescue);

/* Read payload of the volume's log from somewhere else. Any thread. -ENOENT: some of it has
 * no copy in the same form. */
int copy_rescue_read(struct copy_rescue *rescue, uint64_t log_offset, void *data,
		     size_t size, struct error *err);
