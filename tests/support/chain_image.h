/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume in memory with a chain of records, and what must be found of it, for tests. Asserts
 * with cmocka. Threads: one at a time.
 */
#include "support/volume_image.h"

#include "volume/log_end.h"
#include "volume/record.h"

#include <stddef.h>
#include <stdint.h>

struct error;

extern const struct image_shape chain_image_mirrored, chain_image_small,
	chain_image_unprotected;

/* Records 0 to 3, the last of them spread and of several leaves. The caller: image_done(). */
void chain_image_make(struct image *image, uint8_t volume, uint8_t epoch);

/* The number of the last record, and the stripe of record @number. */
size_t chain_image_last(const struct image *image);
const struct stripe_info *chain_image_stripe(const struct image *image, size_t number);

/* The log's end after record @number. The caller: stripe_info_done(&end->own). */
void chain_image_end_after(struct image *image, size_t number, struct log_end *end);

/* @record and @own are record @number of the image and its stripe. */
void chain_image_expect_record(const struct image *image, size_t number,
			       const struct record *record,
			       const struct stripe_info *own);
/* Record @number is found as the last one. */
void chain_image_expect_last(struct image *image, size_t number);
void chain_image_expect_identity(struct image *image);

/* For visitors of a chain: chain_image_visit() expects the next record each time. */
struct chain_visits {
	struct image *image;
	size_t next;
	int step; /* to the number expected next */
	size_t count;
};

int chain_image_visit(void *context, const struct record *record,
		      const struct stripe_info *own, struct error *err);
/* All records are visited, from the last one to the first. */
void chain_image_expect_walk_back(struct image *image);
