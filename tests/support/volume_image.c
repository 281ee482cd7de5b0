/* SPDX-License-Identifier: MIT */
#include "support/volume_image.h"

#include "chunker/parity.h"
#include "chunker/skippable.h"
#include "support/backend_memory.h"

#undef NDEBUG
#include <assert.h>
#include <string.h>

/* One stripe in the making: its extents as full areas, so that short ones end in zeroes. */
struct draft {
	struct image *image;
	struct stripe_info info;
	struct page_header header;
	unsigned pages, parity_pages; /* P, P' */
	uint32_t rows;
};

void fill_random(void *data, size_t size, uint64_t seed)
{
	uint8_t *bytes = data;
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < size; i++) {
		if (i % 8 == 0) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
		}
		bytes[i] = (uint8_t)(state >> (i % 8 * 8));
	}
}

void image_init(struct image *image, uint8_t volume, uint8_t epoch)
{
	*image = (struct image){ .previous_offset = RECORD_OFFSET_NONE, .seed = 1 };
	memset(image->volume.bytes, volume, UUID_SIZE);
	memset(image->epoch.bytes, epoch, UUID_SIZE);
	assert(backend_memory_new(&image->backend) == 0);
}

void image_done(struct image *image)
{
	for (size_t i = 0; i < image->stripe_count; i++)
		stripe_info_done(&image->stripes[i]);
	for (size_t i = 0; i < image->record_count; i++)
		record_free(image->records[i]);
	free(image->stripes);
	free(image->records);
	free(image->bytes);
	free(image->log);
	backend_free(image->backend);
}

/* Grow the volume to @size bytes, zeroed. */
static void grow(struct image *image, size_t size)
{
	if (size <= image->size)
		return;
	image->bytes = realloc(image->bytes, size);
	assert(image->bytes);
	memset(image->bytes + image->size, 0, size - image->size);
	image->size = size;
}

static uint8_t *extent_bytes(const struct draft *draft, unsigned extent)
{
	return draft->image->bytes + draft->info.offset +
	       extent * draft->info.geometry.stride;
}

static unsigned extent_total(const struct draft *draft)
{
	return draft->info.data_count + draft->info.geometry.parity;
}

/* A data extent's payload and padding. */
static void put_payload(struct draft *draft, unsigned extent, const uint8_t *payload,
			uint32_t size)
{
	struct extent_info *info = &draft->info.extents[extent];
	uint8_t *area =
		extent_bytes(draft, extent) + (size_t)PAGE_SIZE_BYTES * draft->pages;
	uint64_t gap = draft->info.geometry.stride -
		       (uint64_t)PAGE_SIZE_BYTES * draft->pages - size -
		       SKIPPABLE_HEADER_SIZE;

	memcpy(area, payload, size);
	skippable_put(area + size, SKIPPABLE_PADDING, (uint32_t)gap);
	info->payload_size = size;
	info->area_size = (size + SKIPPABLE_HEADER_SIZE + PAGE_SIZE_BYTES - 1) /
			  PAGE_SIZE_BYTES * PAGE_SIZE_BYTES;
	if (info->area_size > draft->rows)
		draft->rows = info->area_size;
}

static unsigned cut_leaves(const uint8_t *data, size_t size, struct leaf_entry *entries)
{
	unsigned count = 0;

	for (size_t done = 0; done < size; done += LEAF_SIZE)
		leaf_entry_fill(&entries[count++], data + done,
				size - done < LEAF_SIZE ? size - done : LEAF_SIZE);
	return count;
}

static void put_page(struct draft *draft, struct page *page, unsigned extent,
		     unsigned number)
{
	const struct stripe_info *info = &draft->info;
	bool parity = extent >= info->data_count;

	page->identity = (struct page_identity){
		.volume = draft->image->volume,
		.epoch = draft->image->epoch,
		.stripe = info->number,
		.stripe_offset = info->offset,
		.shard =
			parity ? extent - info->data_count + info->geometry.data : extent,
		.page = number,
	};
	page_encode(page, extent_bytes(draft, extent) + (size_t)PAGE_SIZE_BYTES * number);
}

/* The pages of an extent whose leaves are in place. */
static void put_pages(struct draft *draft, unsigned extent)
{
	const struct stripe_info *info = &draft->info;
	bool parity = extent >= info->data_count;
	unsigned pages = parity ? draft->parity_pages : draft->pages;
	const uint8_t *area =
		extent_bytes(draft, extent) + (size_t)PAGE_SIZE_BYTES * pages;
	struct leaf_entry entries[600];
	unsigned count = 0;
	struct page page = { .kind = PAGE_HEADER, .header = draft->header };

	if (parity) {
		size_t page_area = (size_t)PAGE_SIZE_BYTES * draft->pages;

		count = cut_leaves(area, page_area, entries);
		count += cut_leaves(area + page_area, draft->rows, entries + count);
		info->extents[extent].area_size = draft->rows;
		page.header.data_count = info->data_count;
	} else {
		count = cut_leaves(area, info->extents[extent].area_size, entries);
		page.header.payload_size = info->extents[extent].payload_size;
	}
	page.header.area_size = info->extents[extent].area_size;
	put_page(draft, &page, extent, 0);
	extent_hash(entries, count, &info->extents[extent].hash);

	for (unsigned i = 1; i < pages; i++) {
		unsigned first = TABLE_PAGE_ENTRIES * (i - 1);

		page.kind = PAGE_TABLE;
		page.table = (struct page_table){ .first_leaf = first };
		if (first < count)
			page.table.count = count - first < TABLE_PAGE_ENTRIES
						   ? count - first
						   : TABLE_PAGE_ENTRIES;
		memcpy(page.table.entries, entries + first,
		       page.table.count * sizeof(entries[0]));
		put_page(draft, &page, extent, i);
	}
}

/* Parity of what lies @from bytes into each data extent, @size bytes, to @to bytes into the
 * parity extents. */
static void put_parity(struct draft *draft, size_t from, size_t to, size_t size)
{
	struct stripe_info *info = &draft->info;
	uint8_t *sums[PARITY_MAX_PARITY];
	struct parity *code;

	assert(parity_new(info->geometry.data, info->geometry.parity, &code, NULL) == 0);
	for (unsigned i = 0; i < info->geometry.parity; i++)
		sums[i] = extent_bytes(draft, info->data_count + i) + to;
	for (unsigned i = 0; i < info->data_count; i++)
		parity_update(code, i, extent_bytes(draft, i) + from, size, sums);
	parity_free(code);
}

static void draft_begin(struct draft *draft, struct image *image, enum stripe_kind kind,
			const struct image_shape *shape)
{
	struct geometry geometry;

	geometry_init(&geometry, shape->data, shape->parity, shape->frames,
		      shape->spread);
	*draft = (struct draft){
		.image = image,
		.info = { .number = image->next_number++,
			  .offset = image->size,
			  .log_start = image->log_size,
			  .epoch = image->epoch,
			  .kind = kind,
			  .geometry = geometry,
			  .data_count = shape->count },
		.pages = geometry_data_pages(&geometry),
		.parity_pages = geometry_parity_pages(&geometry),
	};
	draft->info.extents = calloc(extent_total(draft), sizeof(struct extent_info));
	assert(draft->info.extents);
	draft->header = (struct page_header){
		.stripe_kind = kind,
		.geometry = geometry,
		.log_start = image->log_size,
		.previous_offset = image->previous_offset,
		.previous_hash = image->previous_hash,
	};
	grow(image, image->size + extent_total(draft) * geometry.stride);
}

static void draft_end(struct draft *draft)
{
	struct image *image = draft->image;
	struct stripe_info *info = &draft->info;
	size_t pages = (size_t)PAGE_SIZE_BYTES * draft->pages;
	size_t parity_pages = (size_t)PAGE_SIZE_BYTES * draft->parity_pages;

	for (unsigned i = 0; i < info->data_count; i++)
		put_pages(draft, i);
	put_parity(draft, 0, parity_pages, pages);
	put_parity(draft, pages, parity_pages + pages, draft->rows);
	for (unsigned i = 0; i < info->geometry.parity; i++)
		put_pages(draft, info->data_count + i);
	image->size = (size_t)(info->offset + stripe_physical_size(info));

	for (unsigned i = 0; i < info->data_count; i++) {
		uint32_t size = info->extents[i].payload_size;

		image->log = realloc(image->log, image->log_size + size);
		assert(image->log);
		memcpy(image->log + image->log_size, extent_bytes(draft, i) + pages,
		       size);
		image->log_size += size;
	}
	image->stripes =
		reallocarray(image->stripes, image->stripe_count + 1, sizeof(*info));
	assert(image->stripes);
	image->stripes[image->stripe_count++] = *info;
}

void image_add_data(struct image *image, const struct image_shape *shape)
{
	struct draft draft;

	draft_begin(&draft, image, STRIPE_DATA, shape);
	for (unsigned i = 0; i < shape->count; i++) {
		uint32_t size = shape->payload - i * 4999;
		uint8_t *payload = malloc(size);

		assert(payload);
		fill_random(payload, size, image->seed++);
		memset(payload, 0, shape->zeroes);
		put_payload(&draft, i, payload, size);
		free(payload);
	}
	draft_end(&draft);
	image_publish(image);
}

static uint8_t *encode_record(struct image *image, enum stripe_kind kind,
			      size_t info_size, struct record **record_out,
			      size_t *size_out)
{
	char *info = malloc(info_size + 1);
	struct record record = {
		.kind = kind,
		.volume = image->volume,
		.epoch = image->epoch,
		.sequence = image->record_count,
		.previous_offset = image->previous_offset,
		.previous_hash = image->previous_hash,
		.log_start = image->covered,
		.log_end = image->log_size,
		.stripe_number = image->next_number,
		.stripes = image->stripes + image->unlisted,
		.stripe_count = image->stripe_count - image->unlisted,
		.info = info,
		.info_size = info_size,
	};
	uint8_t *data;

	assert(info);
	memset(info, 'i', info_size);
	assert(record_encode(&record, &data, size_out, NULL) == 0);
	assert(record_decode(data, *size_out, record_out, NULL) == 0);
	free(info);
	return data;
}

/* Cut a record in skippable frames of 256 KiB. */
static uint8_t *frame_record(const uint8_t *data, size_t size, size_t *size_out)
{
	uint8_t *out = malloc(size + 8 * (size / 262144 + 1));
	size_t total = 0;

	assert(out);
	for (size_t done = 0; done < size;) {
		size_t piece = size - done < 262144 ? size - done : 262144;

		skippable_put(out + total, SKIPPABLE_RECORD, (uint32_t)piece);
		memcpy(out + total + SKIPPABLE_HEADER_SIZE, data + done, piece);
		total += SKIPPABLE_HEADER_SIZE + piece;
		done += piece;
	}
	*size_out = total;
	return out;
}

void image_add_record(struct image *image, enum stripe_kind kind, uint64_t spread,
		      size_t info_size)
{
	struct record *record;
	size_t size, framed_size;
	uint8_t *data = encode_record(image, kind, info_size, &record, &size);
	uint8_t *framed = frame_record(data, size, &framed_size);
	struct image_shape shape = {
		.data = 1,
		.parity = 2,
		.frames = geometry_frames_for(framed_size),
		.spread = spread,
		.count = 1,
	};
	struct draft draft;

	draft_begin(&draft, image, kind, &shape);
	put_payload(&draft, 0, framed, (uint32_t)framed_size);
	draft_end(&draft);
	free(data);
	free(framed);

	image->records = reallocarray(image->records, image->record_count + 1,
				      sizeof(*image->records));
	assert(image->records);
	image->records[image->record_count++] = record;
	image->previous_offset = draft.info.offset;
	image->previous_hash = record->hash;
	image->covered = (size_t)record->log_end;
	image->unlisted = image->stripe_count - 1;
	image_publish(image);
}

void image_add_torn(struct image *image, const struct image_shape *shape, size_t bytes,
		    uint8_t next_epoch)
{
	size_t start = image->size, log_size = image->log_size;

	image_add_data(image, shape);
	stripe_info_done(&image->stripes[--image->stripe_count]);
	image->next_number--;
	image->log_size = log_size;
	assert(start + bytes <= image->size);
	image->size = start + bytes;
	memset(image->epoch.bytes, next_epoch, UUID_SIZE);
	image_publish(image);
	grow(image,
	     (image->size + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES);
}

bool image_block_used(const struct image *image, uint64_t offset)
{
	static const uint8_t zeroes[PAGE_SIZE_BYTES];

	return memcmp(image->bytes + offset, zeroes, PAGE_SIZE_BYTES) != 0;
}

void image_publish(struct image *image)
{
	assert(backend_memory_set(image->backend, image->bytes, image->size) == 0);
}

void image_restore(struct image *image, uint64_t offset, size_t size)
{
	memcpy(backend_memory_data(image->backend) + offset, image->bytes + offset, size);
}

void image_fill(struct image *image, uint64_t offset, const void *bytes, size_t size)
{
	memcpy(backend_memory_data(image->backend) + offset, bytes, size);
}

void image_noise(struct image *image, uint64_t offset, size_t size, uint64_t seed)
{
	fill_random(backend_memory_data(image->backend) + offset, size, seed);
}

static int find_stripe(void *context, uint64_t log_offset, struct stripe_info *stripe_out,
		       struct error *err)
{
	const struct image *image = context;

	(void)err;
	for (size_t i = 0; i < image->stripe_count; i++) {
		const struct stripe_info *info = &image->stripes[i];

		if (log_offset >= info->log_start &&
		    log_offset - info->log_start < stripe_log_size(info))
			return stripe_info_copy(info, stripe_out);
	}
	return -ENOENT;
}

struct stripe_lookup image_lookup(struct image *image)
{
	return (struct stripe_lookup){ find_stripe, image };
}

const struct stripe_info *image_stripe_at(const struct image *image, uint64_t offset)
{
	for (size_t i = 0; i < image->stripe_count; i++)
		if (offset >= image->stripes[i].offset &&
		    offset - image->stripes[i].offset <
			    stripe_physical_size(&image->stripes[i]))
			return &image->stripes[i];
	return NULL;
}
