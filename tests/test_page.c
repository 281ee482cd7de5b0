/* SPDX-License-Identifier: MIT */
#include "volume/page.h"

#include "chunker/crc32c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct page sample_identity(unsigned shard, unsigned number)
{
	struct page page = { .identity = { .stripe = 7,
					   .stripe_offset = 3 << 20,
					   .shard = shard,
					   .page = number } };

	memset(&page.identity.volume, 0x11, UUID_SIZE);
	memset(&page.identity.epoch, 0x22, UUID_SIZE);
	return page;
}

static struct page sample_header(unsigned shard)
{
	struct page page = sample_identity(shard, 0);

	page.kind = PAGE_HEADER;
	page.header = (struct page_header){
		.stripe_kind = STRIPE_DATA,
		.log_start = UINT64_C(0x123456789ab),
		.payload_size = shard < 4 ? 70000 : 0,
		.area_size = 73728,
		.data_count = shard < 4 ? 0 : 2,
		.previous_offset = 4096,
		.previous_hash = { { 3 } },
	};
	geometry_init(&page.header.geometry, 4, 3, 5, 2 << 20);
	return page;
}

static struct page sample_table(void)
{
	struct page page = sample_identity(2, 2);

	page.kind = PAGE_TABLE;
	page.table.first_leaf = 41;
	page.table.count = 3;
	for (unsigned i = 0; i < 3; i++) {
		page.table.entries[i].hash.bytes[0] = (uint8_t)(i + 1);
		page.table.entries[i].crc[15] = le32_make(0xdeadbeef);
	}
	return page;
}

/* Put the hash right after a change. */
static void rehash(uint8_t *bytes)
{
	struct hash hash;

	memset(bytes + 72, 0, HASH_SIZE);
	hash_bytes(bytes, PAGE_SIZE_BYTES, &hash);
	memcpy(bytes + 72, &hash, HASH_SIZE);
}

static uint32_t frame_size(const uint8_t *bytes)
{
	return (uint32_t)bytes[4] | (uint32_t)bytes[5] << 8 | (uint32_t)bytes[6] << 16 |
	       (uint32_t)bytes[7] << 24;
}

static void expect_round_trip(const struct page *page)
{
	uint8_t bytes[PAGE_SIZE_BYTES], again[PAGE_SIZE_BYTES];
	struct page got;

	page_encode(page, bytes);
	assert_int_equal(page_decode(bytes, &got, NULL), 0);
	assert_true(page_identity_equal(&got.identity, &page->identity));
	assert_int_equal(got.kind, page->kind);
	page_encode(&got, again);
	assert_memory_equal(bytes, again, sizeof(bytes));
}

static void pages_come_back_as_they_were(void **state)
{
	(void)state;
	for (unsigned shard = 0; shard < 7; shard++) {
		struct page page = sample_header(shard);

		expect_round_trip(&page);
	}
	struct page table = sample_table();

	expect_round_trip(&table);
}

static void fields_stand_where_the_format_says(void **state)
{
	struct page page = sample_header(1);
	uint8_t bytes[PAGE_SIZE_BYTES];

	(void)state;
	page_encode(&page, bytes);
	assert_memory_equal(bytes, "\x50\x2a\x4d\x18\xf8\x0f\0\0BFPG\1\0\0\0", 16);
	assert_int_equal(bytes[16], 0x11);
	assert_int_equal(bytes[32], 0x22);
	assert_int_equal(bytes[48], 7);
	assert_int_equal(bytes[58], 0x30);
	assert_int_equal(bytes[64], 1);
	assert_int_equal(bytes[104], STRIPE_DATA);
	assert_memory_equal(bytes + 106, "\4\0\3\0\5\0\0\0\x20\0", 10);
	assert_memory_equal(bytes + 120, "\xab\x89\x67\x45\x23\1\0\0", 8);
	assert_memory_equal(bytes + 128, "\x70\x11\1\0\0\x20\1\0", 8);
	assert_int_equal(bytes[145], 0x10);
	assert_int_equal(bytes[152], 3);
}

static void a_parity_header_covers_its_extent_for_zstd(void **state)
{
	struct page page = sample_header(4);
	uint8_t bytes[PAGE_SIZE_BYTES];

	(void)state;
	page_encode(&page, bytes);
	assert_int_equal(frame_size(bytes) + 8, 2 << 20); /* up to the next extent */
	page = sample_header(6);
	page_encode(&page, bytes);
	assert_int_equal(frame_size(bytes) + 8, 4 * 4096 + 73728); /* the last one */
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct page page = sample_header(5), got;
	uint8_t bytes[PAGE_SIZE_BYTES];

	(void)state;
	page_encode(&page, bytes);
	for (unsigned bit = 0; bit < 8 * PAGE_SIZE_BYTES; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(page_decode(bytes, &got, NULL), -EBADMSG);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* Set byte @offset of a valid page to @value; the result of decoding it. */
static int decode_changed(const struct page *page, unsigned offset, uint8_t value)
{
	uint8_t bytes[PAGE_SIZE_BYTES];
	struct page got;

	page_encode(page, bytes);
	bytes[offset] = value;
	rehash(bytes);
	return page_decode(bytes, &got, NULL);
}

static void newer_versions_and_unknown_flags_are_refused(void **state)
{
	struct page page = sample_header(0);

	(void)state;
	assert_int_equal(decode_changed(&page, 12, 2), -EPROTONOSUPPORT);
	assert_int_equal(decode_changed(&page, 69, 1), -EPROTONOSUPPORT);
	assert_int_equal(decode_changed(&page, 70, 1), 0);   /* compatible */
	assert_int_equal(decode_changed(&page, 15, 1), 0);   /* reserved */
	assert_int_equal(decode_changed(&page, 4000, 1), 0); /* reserved */
}

static void fields_out_of_range_are_refused(void **state)
{
	static const struct {
		unsigned shard, offset, value;
	} changes[] = {
		{ 0, 4, 0xf7 },   /* skippable size */
		{ 0, 0, 0x51 },   /* kind of skippable frame */
		{ 6, 5, 0x33 },   /* skippable size of parity */
		{ 0, 14, 2 },     /* page kind */
		{ 0, 64, 7 },     /* shard = k + m */
		{ 0, 66, 1 },     /* a header page has number 0 */
		{ 0, 104, 0 },    /* stripe kind */
		{ 0, 104, 6 },    /* stripe kind */
		{ 0, 106, 0 },    /* k */
		{ 0, 109, 1 },    /* m */
		{ 0, 110, 1 },    /* f */
		{ 0, 112, 1 },    /* stride */
		{ 0, 130, 2 },    /* payload beyond the area */
		{ 0, 133, 0x30 }, /* area larger than the payload needs */
		{ 0, 135, 1 },    /* area beyond the extent */
		{ 0, 136, 1 },    /* data count in a data extent */
		{ 4, 136, 0 },    /* none in a parity extent */
		{ 4, 136, 5 },    /* more than k */
		{ 4, 128, 1 },    /* payload in a parity extent */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct page page = sample_header(changes[i].shard);

		if (decode_changed(&page, changes[i].offset, (uint8_t)changes[i].value) !=
		    -EBADMSG)
			fail_msg("change %zu was accepted", i);
	}
}

static void tables_out_of_range_are_refused(void **state)
{
	struct page page = sample_table();

	(void)state;
	assert_int_equal(decode_changed(&page, 104, 40), -EBADMSG);
	assert_int_equal(decode_changed(&page, 108, 42), -EBADMSG);
	assert_int_equal(decode_changed(&page, 66, 0), -EBADMSG);
	assert_int_equal(decode_changed(&page, 66, 3), -EBADMSG);
	assert_int_equal(decode_changed(&page, 108, 41), 0);
}

static void any_other_place_is_another_identity(void **state)
{
	const struct page_identity a = sample_identity(1, 1).identity;
	struct page_identity b;

	(void)state;
	b = a;
	assert_true(page_identity_equal(&a, &b));
	b.volume.bytes[15]++;
	assert_false(page_identity_equal(&a, &b));
	b = a;
	b.epoch.bytes[0]++;
	assert_false(page_identity_equal(&a, &b));
	b = a;
	b.stripe++;
	assert_false(page_identity_equal(&a, &b));
	b = a;
	b.stripe_offset++;
	assert_false(page_identity_equal(&a, &b));
	b = a;
	b.shard++;
	assert_false(page_identity_equal(&a, &b));
	b = a;
	b.page++;
	assert_false(page_identity_equal(&a, &b));
}

static void entries_describe_leaves_and_sectors(void **state)
{
	static uint8_t leaf[LEAF_SIZE];
	struct leaf_entry entry;

	(void)state;
	for (size_t i = 0; i < sizeof(leaf); i++)
		leaf[i] = (uint8_t)(i * 7 + i / 256);
	leaf_entry_fill(&entry, leaf, 12288);
	assert_true(leaf_entry_matches(&entry, leaf, 12288));
	assert_false(leaf_entry_matches(&entry, leaf, 16384));
	assert_int_equal(le32_get(entry.crc[2]), crc32c(leaf + 8192, 4096));
	assert_int_equal(le32_get(entry.crc[3]), 0);
	assert_true(leaf_entry_sector_matches(&entry, 1, leaf + 4096));
	leaf[5000] ^= 1;
	assert_false(leaf_entry_matches(&entry, leaf, 12288));
	assert_false(leaf_entry_sector_matches(&entry, 1, leaf + 4096));
	assert_true(leaf_entry_sector_matches(&entry, 0, leaf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_come_back_as_they_were),
		cmocka_unit_test(fields_stand_where_the_format_says),
		cmocka_unit_test(a_parity_header_covers_its_extent_for_zstd),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(newer_versions_and_unknown_flags_are_refused),
		cmocka_unit_test(fields_out_of_range_are_refused),
		cmocka_unit_test(tables_out_of_range_are_refused),
		cmocka_unit_test(any_other_place_is_another_identity),
		cmocka_unit_test(entries_describe_leaves_and_sectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
