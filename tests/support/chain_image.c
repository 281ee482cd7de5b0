/* SPDX-License-Identifier: MIT */
#include "support/chain_image.h"

#include "base/error.h"
#include "volume/chain.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

const struct image_shape chain_image_mirrored = { 1, 3, 2, 0, 1, 60000 };
const struct image_shape chain_image_small = { 4, 3, 2, 0, 4, 90000 };
const struct image_shape chain_image_unprotected = { 2, 0, 2, 0, 2, 30000 };

void chain_image_make(struct image *image, uint8_t volume, uint8_t epoch)
{
	image_init(image, volume, epoch);
	image_add_record(image, STRIPE_HEADER, 0, 100);
	image_add_data(image, &chain_image_mirrored);
	image_add_record(image, STRIPE_COMMIT, 0, 100);
	image_add_data(image, &chain_image_small);
	image_add_record(image, STRIPE_PLACEMENT, 0, 100);
	image_add_data(image, &chain_image_unprotected);
	image_add_data(image, &chain_image_mirrored);
	image_add_record(image, STRIPE_COMMIT, 716800, 150000);
}

size_t chain_image_last(const struct image *image)
{
	return image->record_count - 1;
}

const struct stripe_info *chain_image_stripe(const struct image *image, size_t number)
{
	size_t i = 0;

	while (image->stripes[i].number != image->records[number]->stripe_number)
		i++;
	return &image->stripes[i];
}

void chain_image_expect_record(const struct image *image, size_t number,
			       const struct record *record, const struct stripe_info *own)
{
	const struct stripe_info *want = chain_image_stripe(image, number);

	assert_int_equal(record->sequence, number);
	assert_true(hash_equal(&record->hash, &image->records[number]->hash));
	assert_int_equal(own->offset, want->offset);
	assert_int_equal(own->number, want->number);
	assert_int_equal(own->log_start, want->log_start);
	assert_int_equal(own->kind, want->kind);
	assert_int_equal(own->data_count, want->data_count);
	assert_int_equal(own->geometry.stride, want->geometry.stride);
	for (unsigned i = 0; i < want->data_count + want->geometry.parity; i++) {
		assert_int_equal(own->extents[i].payload_size,
				 want->extents[i].payload_size);
		assert_int_equal(own->extents[i].area_size, want->extents[i].area_size);
		assert_true(hash_equal(&own->extents[i].hash, &want->extents[i].hash));
	}
}

void chain_image_expect_last(struct image *image, size_t number)
{
	struct record *record;
	struct stripe_info own;
	struct error error = { 0 };

	if (chain_find_last(image->backend, &image->volume, &record, &own, &error) != 0)
		fail_msg("%s", error.text);
	chain_image_expect_record(image, number, record, &own);
	record_free(record);
	stripe_info_done(&own);
}

void chain_image_expect_identity(struct image *image)
{
	struct uuid volume;

	assert_int_equal(chain_identify(image->backend, &volume, NULL), 0);
	assert_memory_equal(volume.bytes, image->volume.bytes, UUID_SIZE);
}

int chain_image_visit(void *context, const struct record *record,
		      const struct stripe_info *own, struct error *err)
{
	struct chain_visits *visits = context;

	(void)err;
	chain_image_expect_record(visits->image, visits->next, record, own);
	visits->next += (size_t)visits->step;
	visits->count++;
	return 0;
}

void chain_image_expect_walk_back(struct image *image)
{
	struct chain_visits visits = { image, chain_image_last(image), -1, 0 };
	struct error error = { 0 };

	if (chain_visit_back(image->backend, &image->volume, NULL, chain_image_visit,
			     &visits, &error))
		fail_msg("%s", error.text);
	assert_int_equal(visits.count, image->record_count);
}

void chain_image_end_after(struct image *image, size_t number, struct log_end *end)
{
	assert_int_equal(chain_end(image->records[number],
				   chain_image_stripe(image, number), end, NULL),
			 0);
}
