/* SPDX-License-Identifier: MIT */
/* The wire form of header and table pages (docs/format.md 2.2).
 *
 * Both kinds share the first 104 bytes: a skippable frame's header, so that zstd steps over
 * the page, then magic, identity and a BLAKE3 over the page in which the hash field itself
 * counts as zero. Decoding goes magic, version, flags, hash, ranges: damage in the version
 * or flags could otherwise look like a newer format, so "newer" is only said of a page
 * whose hash is right.
 *
 * The skippable size is checked like every other field, although only zstd needs it: a page
 * with a valid hash and a wrong one would break `zstd -dc`, and was not written by us.
 */
#include "volume/page.h"

#include "base/error.h"
#include "chunker/crc32c.h"
#include "chunker/skippable.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PAGE_VERSION 1
#define FLAGS_INCOMPATIBLE 0xffffu /* none is defined */

static const uint8_t page_magic[4] = { 'B', 'F', 'P', 'G' };

/* Both kinds begin like this. */
struct page_wire {
	uint8_t skippable[SKIPPABLE_HEADER_SIZE];
	uint8_t magic[4];
	le16 version;
	uint8_t kind;
	uint8_t reserved;
	uint8_t volume[UUID_SIZE];
	uint8_t epoch[UUID_SIZE];
	le64 stripe;
	le64 stripe_offset;
	le16 shard;
	le16 page;
	le32 flags;
	struct hash hash;
};

static_assert(sizeof(struct page_wire) == 104, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, magic) == 8, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, version) == 12, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, kind) == 14, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, volume) == 16, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, epoch) == 32, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, stripe) == 48, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, stripe_offset) == 56, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, shard) == 64, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, page) == 66, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, flags) == 68, "docs/format.md 2.2");
static_assert(offsetof(struct page_wire, hash) == 72, "docs/format.md 2.2");

struct page_header_wire {
	struct page_wire common;
	uint8_t stripe_kind;
	uint8_t reserved_105;
	le16 data;
	le16 parity;
	le16 frames;
	le64 stride;
	le64 log_start;
	le32 payload_size;
	le32 area_size;
	le16 data_count;
	uint8_t reserved_138[6];
	le64 previous_offset;
	struct hash previous_hash;
	uint8_t reserved_184[3912];
};

static_assert(sizeof(struct page_header_wire) == PAGE_SIZE_BYTES, "docs/format.md 2.2");
static_assert(offsetof(struct page_header_wire, stripe_kind) == 104, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, data) == 106, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, parity) == 108, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, frames) == 110, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, stride) == 112, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, log_start) == 120, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, payload_size) == 128, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, area_size) == 132, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, data_count) == 136, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, previous_offset) == 144, "format.md 2.2");
static_assert(offsetof(struct page_header_wire, previous_hash) == 152, "format.md 2.2");

struct page_table_wire {
	struct page_wire common;
	le32 first_leaf;
	le32 count;
	uint8_t reserved_112[48];
	struct leaf_entry entries[TABLE_PAGE_ENTRIES];
};

static_assert(sizeof(struct page_table_wire) == PAGE_SIZE_BYTES, "docs/format.md 2.2");
static_assert(offsetof(struct page_table_wire, count) == 108, "docs/format.md 2.2");
static_assert(offsetof(struct page_table_wire, entries) == 160, "docs/format.md 2.2");
static_assert(sizeof(struct leaf_entry) == LEAF_ENTRY_SIZE, "docs/format.md 2.2");
static_assert(offsetof(struct leaf_entry, crc) == 32, "docs/format.md 2.2");

/* BLAKE3 of the page with the hash field zero, whatever it holds. */
static void page_hash(const uint8_t *page, struct hash *hash_out)
{
	static const struct hash zero = { 0 };
	const size_t before = offsetof(struct page_wire, hash);
	const size_t behind = before + sizeof(struct hash);
	struct hasher hasher;

	hasher_init(&hasher);
	hasher_update(&hasher, page, before);
	hasher_update(&hasher, &zero, sizeof(zero));
	hasher_update(&hasher, page + behind, PAGE_SIZE_BYTES - behind);
	hasher_final(&hasher, hash_out);
}

uint64_t parity_extent_frame_size(const struct geometry *geometry, unsigned index,
				  uint32_t rows)
{
	uint64_t pages = geometry_parity_pages(geometry) + geometry_data_pages(geometry);

	if (index + 1 < geometry->parity)
		return geometry->stride;
	return PAGE_SIZE_BYTES * pages + rows;
}

static bool is_parity(const struct page *page)
{
	return page->kind == PAGE_HEADER &&
	       page->identity.shard >= page->header.geometry.data;
}

/* Payload of the skippable frame that starts with this page. */
static uint32_t skippable_size(const struct page *page)
{
	const struct page_header *header = &page->header;
	uint64_t size = PAGE_SIZE_BYTES;

	if (is_parity(page))
		size = parity_extent_frame_size(
			&header->geometry, page->identity.shard - header->geometry.data,
			header->area_size);
	return (uint32_t)(size - SKIPPABLE_HEADER_SIZE);
}

static void encode_common(const struct page *page, struct page_wire *wire)
{
	const struct page_identity *identity = &page->identity;

	skippable_put(wire->skippable, SKIPPABLE_EXTENT, skippable_size(page));
	memcpy(wire->magic, page_magic, sizeof(page_magic));
	wire->version = le16_make(PAGE_VERSION);
	wire->kind = (uint8_t)page->kind;
	memcpy(wire->volume, identity->volume.bytes, UUID_SIZE);
	memcpy(wire->epoch, identity->epoch.bytes, UUID_SIZE);
	wire->stripe = le64_make(identity->stripe);
	wire->stripe_offset = le64_make(identity->stripe_offset);
	wire->shard = le16_make((uint16_t)identity->shard);
	wire->page = le16_make((uint16_t)identity->page);
}

static void encode_header(const struct page_header *header, struct page_header_wire *wire)
{
	wire->stripe_kind = (uint8_t)header->stripe_kind;
	wire->data = le16_make((uint16_t)header->geometry.data);
	wire->parity = le16_make((uint16_t)header->geometry.parity);
	wire->frames = le16_make((uint16_t)header->geometry.frames);
	wire->stride = le64_make(header->geometry.stride);
	wire->log_start = le64_make(header->log_start);
	wire->payload_size = le32_make(header->payload_size);
	wire->area_size = le32_make(header->area_size);
	wire->data_count = le16_make((uint16_t)header->data_count);
	wire->previous_offset = le64_make(header->previous_offset);
	wire->previous_hash = header->previous_hash;
}

static void encode_table(const struct page_table *table, struct page_table_wire *wire)
{
	assert(table->count <= TABLE_PAGE_ENTRIES);
	wire->first_leaf = le32_make(table->first_leaf);
	wire->count = le32_make(table->count);
	memcpy(wire->entries, table->entries, table->count * sizeof(wire->entries[0]));
}

void page_encode(const struct page *page, uint8_t *out)
{
	union {
		struct page_wire common;
		struct page_header_wire header;
		struct page_table_wire table;
	} wire = { 0 };

	static_assert(sizeof(wire) == PAGE_SIZE_BYTES, "both kinds are whole pages");
	encode_common(page, &wire.common);
	if (page->kind == PAGE_HEADER)
		encode_header(&page->header, &wire.header);
	else
		encode_table(&page->table, &wire.table);
	page_hash((const uint8_t *)&wire, &wire.common.hash);
	memcpy(out, &wire, sizeof(wire));
}

static int damaged(struct error *err, const char *what)
{
	return error_set(err, -EBADMSG, "page: %s", what);
}

static int decode_common(const uint8_t *in, struct page *page, struct error *err)
{
	struct page_identity *identity = &page->identity;
	struct page_wire wire;
	struct hash hash;

	memcpy(&wire, in, sizeof(wire));
	if (memcmp(wire.magic, page_magic, sizeof(page_magic)) != 0)
		return damaged(err, "no magic");
	page_hash(in, &hash);
	if (!hash_equal(&hash, &wire.hash))
		return damaged(err, "hash differs");
	if (le16_get(wire.version) != PAGE_VERSION)
		return error_set(err, -EPROTONOSUPPORT, "page: unknown version %u",
				 le16_get(wire.version));
	if (le32_get(wire.flags) & FLAGS_INCOMPATIBLE)
		return error_set(err, -EPROTONOSUPPORT, "page: unknown flags %#x",
				 le32_get(wire.flags));

	if (wire.kind > PAGE_TABLE)
		return damaged(err, "unknown kind");
	page->kind = wire.kind;
	memcpy(identity->volume.bytes, wire.volume, UUID_SIZE);
	memcpy(identity->epoch.bytes, wire.epoch, UUID_SIZE);
	identity->stripe = le64_get(wire.stripe);
	identity->stripe_offset = le64_get(wire.stripe_offset);
	identity->shard = le16_get(wire.shard);
	identity->page = le16_get(wire.page);
	return 0;
}

static bool header_sizes_valid(const struct page *page)
{
	const struct page_header *header = &page->header;
	uint32_t area_max = LEAF_SIZE * geometry_leaves(&header->geometry);

	if (header->area_size % PAGE_SIZE_BYTES || header->area_size > area_max)
		return false;
	if (is_parity(page))
		return header->payload_size == 0 && header->data_count >= 1 &&
		       header->data_count <= header->geometry.data;
	return header->data_count == 0 &&
	       header->payload_size <= geometry_payload_max(&header->geometry) &&
	       header->area_size == geometry_area_size(header->payload_size);
}

static int decode_header(const uint8_t *in, struct page *page, struct error *err)
{
	struct page_header *header = &page->header;
	struct page_header_wire wire;

	memcpy(&wire, in, sizeof(wire));
	header->stripe_kind = wire.stripe_kind;
	header->geometry.data = le16_get(wire.data);
	header->geometry.parity = le16_get(wire.parity);
	header->geometry.frames = le16_get(wire.frames);
	header->geometry.stride = le64_get(wire.stride);
	header->log_start = le64_get(wire.log_start);
	header->payload_size = le32_get(wire.payload_size);
	header->area_size = le32_get(wire.area_size);
	header->data_count = le16_get(wire.data_count);
	header->previous_offset = le64_get(wire.previous_offset);
	header->previous_hash = wire.previous_hash;

	if (wire.stripe_kind < STRIPE_HEADER || wire.stripe_kind > STRIPE_END)
		return damaged(err, "unknown stripe kind");
	if (!geometry_valid(&header->geometry))
		return damaged(err, "impossible geometry");
	if (page->identity.page != 0 ||
	    page->identity.shard >= header->geometry.data + header->geometry.parity)
		return damaged(err, "shard or page out of range");
	if (!header_sizes_valid(page))
		return damaged(err, "sizes out of range");
	return 0;
}

static int decode_table(const uint8_t *in, struct page *page, struct error *err)
{
	struct page_table *table = &page->table;
	struct page_table_wire wire;

	memcpy(&wire, in, sizeof(wire));
	table->first_leaf = le32_get(wire.first_leaf);
	table->count = le32_get(wire.count);
	if (table->count > TABLE_PAGE_ENTRIES)
		return damaged(err, "too many entries");
	if (page->identity.page < 1 ||
	    table->first_leaf != TABLE_PAGE_ENTRIES * (page->identity.page - 1))
		return damaged(err, "entries of another page");
	memset(table->entries, 0, sizeof(table->entries));
	memcpy(table->entries, wire.entries, table->count * sizeof(table->entries[0]));
	return 0;
}

int page_decode(const uint8_t *in, struct page *page_out, struct error *err)
{
	uint32_t size;
	unsigned kind;
	int r;

	r = decode_common(in, page_out, err);
	if (r < 0)
		return r;
	if (page_out->kind == PAGE_HEADER)
		r = decode_header(in, page_out, err);
	else
		r = decode_table(in, page_out, err);
	if (r < 0)
		return r;
	if (skippable_get(in, PAGE_SIZE_BYTES, &kind, &size) < 0 ||
	    kind != SKIPPABLE_EXTENT || size != skippable_size(page_out))
		return damaged(err, "not in a skippable frame of its size");
	return 0;
}

bool page_identity_equal(const struct page_identity *a, const struct page_identity *b)
{
	return memcmp(a->volume.bytes, b->volume.bytes, UUID_SIZE) == 0 &&
	       memcmp(a->epoch.bytes, b->epoch.bytes, UUID_SIZE) == 0 &&
	       a->stripe == b->stripe && a->stripe_offset == b->stripe_offset &&
	       a->shard == b->shard && a->page == b->page;
}

void leaf_entry_fill(struct leaf_entry *entry, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	assert(size <= LEAF_SIZE && size % PAGE_SIZE_BYTES == 0);
	hash_bytes(data, size, &entry->hash);
	for (unsigned i = 0; i < LEAF_SECTORS; i++) {
		size_t offset = (size_t)i * PAGE_SIZE_BYTES;
		uint32_t crc = 0;

		if (offset < size)
			crc = crc32c(bytes + offset, PAGE_SIZE_BYTES);
		entry->crc[i] = le32_make(crc);
	}
}

bool leaf_entry_matches(const struct leaf_entry *entry, const void *data, size_t size)
{
	struct hash hash;

	hash_bytes(data, size, &hash);
	return hash_equal(&hash, &entry->hash);
}

bool leaf_entry_sector_matches(const struct leaf_entry *entry, unsigned sector,
			       const void *data)
{
	assert(sector < LEAF_SECTORS);
	return crc32c(data, PAGE_SIZE_BYTES) == le32_get(entry->crc[sector]);
}

void extent_hash(const struct leaf_entry *entries, size_t count, struct hash *hash_out)
{
	hash_bytes(entries, count * sizeof(*entries), hash_out);
}
