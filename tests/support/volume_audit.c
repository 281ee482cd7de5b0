/* SPDX-License-Identifier: MIT */
#include "support/volume_audit.h"

#include "chunker/crc32c.h"
#include "chunker/skippable.h"
#include "volume/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <cmocka.h>

/* The volume and what is known while walking over it. */
struct walk {
	struct audit *audit;
	const uint8_t *bytes;
	size_t size;
	struct uuid volume;
	uint64_t offset; /* of the current stripe */
	uint64_t previous_offset;
	struct hash previous_hash;
	uint8_t *payload; /* of the current stripe */
	size_t payload_size;
};

/* ---- the field: docs/format.md 2.3, bit by bit ---- */

static uint8_t field_multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0, factor = a;

	for (unsigned bit = 0; bit < 8; bit++) {
		if (b >> bit & 1)
			product ^= factor;
		factor <<= 1;
		if (factor & 0x100)
			factor ^= 0x11d;
	}
	return (uint8_t)product;
}

static uint8_t field_inverse(uint8_t a)
{
	for (unsigned b = 1; b < 256; b++)
		if (field_multiply(a, (uint8_t)b) == 1)
			return (uint8_t)b;
	fail();
	return 0;
}

/* sum ^= 1 / ((k + j) xor i) * data */
static void add_product(uint8_t *sum, const uint8_t *data, size_t size, unsigned k,
			unsigned j, unsigned i)
{
	uint8_t coefficient = field_inverse((uint8_t)((k + j) ^ i));
	uint8_t table[256];

	for (unsigned b = 0; b < 256; b++)
		table[b] = field_multiply(coefficient, (uint8_t)b);
	for (size_t n = 0; n < size; n++)
		sum[n] ^= table[data[n]];
}

/* ---- one extent ---- */

static const uint8_t *at(const struct walk *walk, uint64_t offset, uint64_t size)
{
	assert_true(offset + size <= walk->size);
	return walk->bytes + offset;
}

static void decode_page(const struct walk *walk, uint64_t offset, unsigned shard,
			unsigned number, const struct stripe_info *stripe,
			struct page *page)
{
	struct page_identity want = {
		.volume = walk->volume,
		.epoch = stripe->epoch,
		.stripe = stripe->number,
		.stripe_offset = stripe->offset,
		.shard = shard,
		.page = number,
	};

	assert_int_equal(page_decode(at(walk, offset, 4096), page, NULL), 0);
	assert_true(page_identity_equal(&page->identity, &want));
	assert_int_equal(page->kind, number ? PAGE_TABLE : PAGE_HEADER);
}

static void check_entry(const struct leaf_entry *entry, const uint8_t *leaf, size_t size)
{
	struct hash hash;

	hash_bytes(leaf, size, &hash);
	assert_memory_equal(&hash, &entry->hash, sizeof(hash));
	for (size_t sector = 0; sector < 16; sector++) {
		uint32_t crc = 0;

		if (sector * 4096 < size)
			crc = crc32c(leaf + sector * 4096, 4096);
		assert_int_equal(crc, le32_get(entry->crc[sector]));
	}
}

/* Check the tables of the extent at @offset against its leaves. The areas follow each other
 * behind @pages pages. */
static void check_tables(const struct walk *walk, const struct stripe_info *stripe,
			 uint64_t offset, unsigned shard, unsigned pages,
			 const uint64_t areas[2], struct extent_info *info)
{
	uint64_t start = offset + 4096 * (uint64_t)pages;
	uint64_t total = (areas[0] + 65535) / 65536 + (areas[1] + 65535) / 65536;
	uint64_t left;
	unsigned leaf = 0;
	struct hasher hasher;
	struct page page;
	unsigned area = 0;
	uint64_t done = 0;

	hasher_init(&hasher);
	for (unsigned t = 1; t < pages; t++) {
		decode_page(walk, offset + 4096 * (uint64_t)t, shard, t, stripe, &page);
		assert_int_equal(page.table.first_leaf, 41 * (t - 1));
		left = total > 41 * (t - 1) ? total - 41 * (t - 1) : 0;
		assert_int_equal(page.table.count, left < 41 ? left : 41);
		for (unsigned i = 0; i < page.table.count; i++, leaf++) {
			uint64_t size;

			if (done == areas[area]) {
				start += areas[area++];
				done = 0;
				assert_true(area < 2);
			}
			size = areas[area] - done < 65536 ? areas[area] - done : 65536;
			check_entry(&page.table.entries[i], at(walk, start + done, size),
				    size);
			hasher_update(&hasher, &page.table.entries[i], 96);
			done += size;
		}
	}
	assert_int_equal(leaf, total);
	assert_true(area == 1 || areas[1] == 0);
	assert_int_equal(done, areas[area]);
	hasher_final(&hasher, &info->hash);
}

static void check_zero(const struct walk *walk, uint64_t from, uint64_t to)
{
	const uint8_t *bytes = at(walk, from, to - from);

	for (uint64_t i = 0; i < to - from; i++)
		if (bytes[i])
			fail_msg("byte %llu of a gap is not zero",
				 (unsigned long long)(from + i));
}

/* Payload, padding, gap of data extent @index; @next is where the next extent, or if there
 * is none, the area ends. */
static void check_data(struct walk *walk, const struct stripe_info *stripe,
		       unsigned index, const struct page_header *header, uint64_t next)
{
	uint64_t offset = stripe->offset + index * stripe->geometry.stride;
	unsigned pages = geometry_data_pages(&stripe->geometry);
	struct extent_info *info = &stripe->extents[index];
	uint64_t area = offset + 4096 * (uint64_t)pages;
	uint64_t end = area + header->payload_size;
	const uint64_t areas[2] = { header->area_size, 0 };
	uint32_t padding;
	unsigned kind;

	info->payload_size = header->payload_size;
	info->area_size = header->area_size;
	check_tables(walk, stripe, offset, index, pages, areas, info);
	assert_int_equal(header->area_size,
			 (header->payload_size + 8 + 4095) / 4096 * 4096);
	assert_int_equal(skippable_get(at(walk, end, 8), 8, &kind, &padding), 0);
	assert_int_equal(kind, SKIPPABLE_PADDING);
	assert_int_equal(end + 8 + padding, next);
	check_zero(walk, end + 8, next);

	walk->payload = realloc(walk->payload, walk->payload_size + header->payload_size);
	assert_non_null(walk->payload);
	memcpy(walk->payload + walk->payload_size, at(walk, area, header->payload_size),
	       header->payload_size);
	walk->payload_size += header->payload_size;
}

/* ---- one stripe ---- */

static void expect_same_geometry(const struct geometry *a, const struct geometry *b)
{
	assert_int_equal(a->data, b->data);
	assert_int_equal(a->parity, b->parity);
	assert_int_equal(a->frames, b->frames);
	assert_int_equal(a->stride, b->stride);
}

/* Parity extent @j: its tables, and every byte of its areas. */
static void check_parity(struct walk *walk, const struct stripe_info *stripe, unsigned j,
			 uint32_t rows)
{
	const struct geometry *geometry = &stripe->geometry;
	unsigned index = stripe->data_count + j;
	uint64_t offset = stripe->offset + index * geometry->stride;
	unsigned pages = geometry_parity_pages(geometry);
	size_t page_area = (size_t)geometry_data_pages(geometry) * 4096;
	const uint64_t areas[2] = { page_area, rows };
	const uint8_t *stored =
		at(walk, offset + 4096 * (uint64_t)pages, page_area + rows);
	uint8_t *sum = calloc(1, page_area + rows);

	assert_non_null(sum);
	stripe->extents[index].payload_size = 0;
	stripe->extents[index].area_size = rows;
	check_tables(walk, stripe, offset, geometry->data + j, pages, areas,
		     &stripe->extents[index]);
	for (unsigned i = 0; i < stripe->data_count; i++)
		add_product(sum,
			    at(walk, stripe->offset + i * geometry->stride,
			       page_area + stripe->extents[i].area_size),
			    page_area + stripe->extents[i].area_size, geometry->data, j,
			    i);
	if (memcmp(sum, stored, page_area + rows) != 0)
		fail_msg("parity %u of stripe %llu", j,
			 (unsigned long long)stripe->number);
	free(sum);
	if (j + 1 < geometry->parity)
		check_zero(walk, offset + 4096 * (uint64_t)pages + page_area + rows,
			   offset + geometry->stride);
}

/* Learn the stripe at walk->offset from its header pages. */
static void find_extents(struct walk *walk, struct stripe_info *stripe,
			 struct page_header *headers)
{
	struct page page;
	unsigned i;

	assert_int_equal(page_decode(at(walk, walk->offset, 4096), &page, NULL), 0);
	assert_int_equal(page.identity.shard, 0);
	*stripe = (struct stripe_info){
		.number = page.identity.stripe,
		.offset = walk->offset,
		.log_start = page.header.log_start,
		.epoch = page.identity.epoch,
		.kind = page.header.stripe_kind,
		.geometry = page.header.geometry,
	};
	assert_int_equal(stripe->number, walk->audit->stripe_count);
	assert_int_equal(stripe->log_start, walk->audit->log_size);
	for (i = 0; i < stripe->geometry.data; i++) {
		uint64_t offset = walk->offset + i * stripe->geometry.stride;

		if (offset + 4096 > walk->size ||
		    page_decode(walk->bytes + offset, &page, NULL) < 0 ||
		    page.identity.stripe != stripe->number || page.identity.shard != i)
			break;
		decode_page(walk, offset, i, 0, stripe, &page);
		headers[i] = page.header;
	}
	stripe->data_count = i;
	for (unsigned j = 0; j < stripe->geometry.parity; j++, i++) {
		decode_page(walk, walk->offset + i * stripe->geometry.stride,
			    stripe->geometry.data + j, 0, stripe, &page);
		assert_int_equal(page.header.data_count, stripe->data_count);
		headers[i] = page.header;
	}
	for (unsigned n = 0; n < i; n++) {
		expect_same_geometry(&headers[n].geometry, &stripe->geometry);
		assert_int_equal(headers[n].stripe_kind, stripe->kind);
		assert_int_equal(headers[n].log_start, stripe->log_start);
		assert_int_equal(headers[n].previous_offset, walk->previous_offset);
		assert_memory_equal(&headers[n].previous_hash, &walk->previous_hash, 32);
	}
}

static void check_extents(struct walk *walk, struct stripe_info *stripe,
			  const struct page_header *headers)
{
	unsigned count = stripe->data_count + stripe->geometry.parity;
	unsigned pages = geometry_data_pages(&stripe->geometry);
	uint32_t rows = 0;

	stripe->extents = calloc(count, sizeof(*stripe->extents));
	assert_non_null(stripe->extents);
	for (unsigned i = 0; i < stripe->data_count; i++) {
		uint64_t next = stripe->offset + (i + 1) * stripe->geometry.stride;

		if (i + 1 == count)
			next -= stripe->geometry.stride - 4096 * (uint64_t)pages -
				headers[i].area_size;
		check_data(walk, stripe, i, &headers[i], next);
		if (headers[i].area_size > rows)
			rows = headers[i].area_size;
	}
	for (unsigned j = 0; j < stripe->geometry.parity; j++) {
		assert_int_equal(headers[stripe->data_count + j].area_size, rows);
		check_parity(walk, stripe, j, rows);
	}
}

/* ---- records ---- */

static struct record *decode_record(const struct walk *walk)
{
	uint8_t *bytes = malloc(walk->payload_size);
	struct record *record = NULL;
	size_t size = 0, offset = 0;

	assert_non_null(bytes);
	while (offset < walk->payload_size) {
		uint32_t piece;
		unsigned kind;

		assert_int_equal(skippable_get(walk->payload + offset,
					       walk->payload_size - offset, &kind,
					       &piece),
				 0);
		assert_int_equal(kind, SKIPPABLE_RECORD);
		assert_true(piece <= 262144 && piece + 8 <= walk->payload_size - offset);
		memcpy(bytes + size, walk->payload + offset + 8, piece);
		size += piece;
		offset += 8 + piece;
	}
	assert_int_equal(record_decode(bytes, size, &record, NULL), 0);
	free(bytes);
	return record;
}

static void expect_same_stripe(const struct stripe_info *a, const struct stripe_info *b)
{
	unsigned count = b->data_count + b->geometry.parity;

	assert_int_equal(a->number, b->number);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->log_start, b->log_start);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->data_count, b->data_count);
	assert_memory_equal(&a->epoch, &b->epoch, sizeof(a->epoch));
	expect_same_geometry(&a->geometry, &b->geometry);
	assert_memory_equal(a->extents, b->extents, count * sizeof(*a->extents));
}

/* A record lists exactly the stripes since the one before it, and they are true. */
static void check_record(struct walk *walk, const struct stripe_info *own)
{
	struct audit *audit = walk->audit;
	struct record *record = decode_record(walk);
	const struct record *before =
		audit->record_count ? audit->records[audit->record_count - 1] : NULL;
	uint64_t first = before ? before->stripe_number : 0;

	assert_int_equal(record->kind, own->kind);
	assert_int_equal(own->geometry.data, 1);
	assert_true(own->geometry.parity >= 2);
	assert_memory_equal(&record->volume, &walk->volume, sizeof(record->volume));
	assert_memory_equal(&record->epoch, &own->epoch, sizeof(record->epoch));
	assert_int_equal(record->sequence, audit->record_count);
	assert_int_equal(record->previous_offset, walk->previous_offset);
	assert_memory_equal(&record->previous_hash, &walk->previous_hash, 32);
	assert_int_equal(record->log_start, before ? before->log_end : 0);
	assert_int_equal(record->log_end, own->log_start);
	assert_int_equal(record->stripe_number, own->number);
	assert_int_equal(record->stripe_count, own->number - first);
	for (size_t i = 0; i < record->stripe_count; i++)
		expect_same_stripe(&record->stripes[i], &audit->stripes[first + i]);

	audit->records = realloc(audit->records,
				 (audit->record_count + 1) * sizeof(*audit->records));
	assert_non_null(audit->records);
	audit->records[audit->record_count++] = record;
	walk->previous_offset = own->offset;
	walk->previous_hash = record->hash;
}

static void check_stripe(struct walk *walk)
{
	static struct page_header headers[255];
	struct audit *audit = walk->audit;
	struct stripe_info stripe;

	walk->payload_size = 0;
	find_extents(walk, &stripe, headers);
	check_extents(walk, &stripe, headers);
	if (stripe.kind != STRIPE_DATA)
		check_record(walk, &stripe);
	walk->offset += stripe_physical_size(&stripe);
	audit->log_size += stripe_log_size(&stripe);
	audit->written += stripe_written_size(&stripe);
	assert_int_equal(stripe_log_size(&stripe), walk->payload_size);
	audit->stripes = realloc(audit->stripes,
				 (audit->stripe_count + 1) * sizeof(*audit->stripes));
	assert_non_null(audit->stripes);
	audit->stripes[audit->stripe_count++] = stripe;
}

/* ---- as zstd sees it ---- */

static void walk_frames(struct audit *audit, const uint8_t *bytes, size_t size)
{
	static uint8_t content[1 << 20];
	struct hasher hasher;
	size_t offset = 0;

	hasher_init(&hasher);
	while (offset < size) {
		uint32_t payload;
		size_t frame, got;

		if (skippable_get(bytes + offset, size - offset, NULL, &payload) == 0) {
			offset += 8 + (size_t)payload;
			continue;
		}
		frame = ZSTD_findFrameCompressedSize(bytes + offset, size - offset);
		if (ZSTD_isError(frame))
			fail_msg("no frame at byte %zu", offset);
		got = ZSTD_decompress(content, sizeof(content), bytes + offset, frame);
		assert_false(ZSTD_isError(got));
		hasher_update(&hasher, content, got);
		audit->content_size += got;
		offset += frame;
	}
	assert_int_equal(offset, size);
	hasher_final(&hasher, &audit->content);
}

void audit_volume(struct audit *audit, const uint8_t *bytes, size_t size,
		  const struct uuid *volume)
{
	struct walk walk = {
		.audit = audit,
		.bytes = bytes,
		.size = size,
		.volume = *volume,
		.previous_offset = RECORD_OFFSET_NONE,
	};

	*audit = (struct audit){ 0 };
	while (walk.offset < size)
		check_stripe(&walk);
	assert_int_equal(walk.offset, size);
	free(walk.payload);
	walk_frames(audit, bytes, size);
}

void audit_done(struct audit *audit)
{
	for (size_t i = 0; i < audit->stripe_count; i++)
		stripe_info_done(&audit->stripes[i]);
	for (size_t i = 0; i < audit->record_count; i++)
		record_free(audit->records[i]);
	free(audit->stripes);
	free(audit->records);
}
