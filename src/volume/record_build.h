/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes the stripe that holds one record: RS(1, m), the record cut in pieces.
 *
 * Threads: one at a time, the one that owns the backend's position.
 */
#include "volume/extent.h"
#include "volume/log_writer.h"

struct backend;
struct budget;
struct pool;

struct record_build {
	struct backend *backend; /* borrowed, like pool and budget; set by the owner */
	struct pool *pool;
	struct budget *budget;
	struct extent data; /* buffers for one stripe, of `frames` and `parity` */
	struct extent *parities;
	unsigned frames, parity;
};

/* Free the buffers; they are made when needed. */
void record_build_done(struct record_build *build);

/* Free them if they are for more than @frames. */
void record_build_trim(struct record_build *build, unsigned frames);

/* The geometry of the stripe of a record of @size bytes, and the payload of that stripe. */
void record_geometry(struct geometry *geometry_out, unsigned parity, size_t size,
		     uint64_t spread);
uint32_t record_payload(size_t size);

/* Append the stripe @own, laid out by these two, with the @size bytes of @data: an encoded
 * record of which @end is the end of the log before it. Sets the hashes of own->extents.
 * -ENOMEM or as backend_append(). */
int record_build_write(struct record_build *build, struct stripe_info *own,
		       const uint8_t *data, size_t size, const struct log_end *end,
		       struct error *err);

/* Append what is missing of the stripe @own, whose first part is there. -EBADMSG if what
 * would be appended is not what @own says; nothing was appended then. */
int record_build_rest(struct record_build *build, const struct stripe_info *own,
		      const uint8_t *data, size_t size, const struct log_end *end,
		      struct error *err);
