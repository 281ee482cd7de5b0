/* SPDX-License-Identifier: MIT */
/* Hostile trees: the input is a list of pages, and a hash names one of them by its first
 * byte, so that pages may hold themselves or stand in several places. Whatever they say,
 * walks, diffs and builds come to an end, with keys that ascend.
 *
 * A page: u8 type (2 bits) and level (6 bits), u16 size of its content, the content.
 */
#include "archive/source.h"
#include "archive/tree_builder.h"
#include "archive/tree_diff.h"
#include "archive/tree_page.h"
#include "base/bytes.h"
#include "base/error.h"
#include "chunker/frame.h"

#include <string.h>

#define PAGE_MAX 256u
#define VISITS_MAX 1000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct page_wire {
	uint8_t type_level;
	le16 size;
};

struct fuzz_source {
	struct source source;
	unsigned page_count;
	const uint8_t *pages[PAGE_MAX]; /* wire, then content */
};

struct walk {
	unsigned visits;
	size_t key_size;
	uint8_t key[MANIFEST_KEY_MAX];
};

static int give_page(struct source *source, const struct hash *hash,
		     struct bytes *payload_out, struct error *err)
{
	const struct fuzz_source *fuzz = (const struct fuzz_source *)source;
	unsigned i = hash->bytes[0];
	struct page_wire w;
	uint8_t *payload;
	size_t size;

	if (i >= fuzz->page_count)
		return error_set(err, -ENOENT, "no such page");
	memcpy(&w, fuzz->pages[i], sizeof(w));
	size = le16_get(w.size);
	payload = calloc(1, TREE_PAGE_HEADER_SIZE + frame_bound(size));
	if (!payload)
		return error_set(err, -ENOMEM, "page");
	memcpy(payload, "BFTP\1", 5);
	payload[5] = w.type_level & 3;
	payload[6] = w.type_level >> 2;
	memcpy(payload + 8, &w.size, sizeof(w.size));
	frame_store(fuzz->pages[i] + sizeof(w), size, payload + TREE_PAGE_HEADER_SIZE);
	*payload_out =
		(struct bytes){ payload, TREE_PAGE_HEADER_SIZE + frame_bound(size) };
	return 0;
}

static void read_pages(struct fuzz_source *fuzz, const uint8_t *data, size_t size)
{
	struct page_wire w;

	while (size > sizeof(w) && fuzz->page_count < PAGE_MAX) {
		memcpy(&w, data, sizeof(w));
		if (le16_get(w.size) == 0 || le16_get(w.size) > size - sizeof(w))
			return;
		fuzz->pages[fuzz->page_count++] = data;
		data += sizeof(w) + le16_get(w.size);
		size -= sizeof(w) + le16_get(w.size);
	}
}

static int visit_page(void *context, const struct hash *hash, const uint8_t *payload,
		      size_t size, struct error *err)
{
	struct walk *walk = context;

	(void)hash;
	(void)payload;
	(void)size;
	(void)err;
	if (++walk->visits > VISITS_MAX)
		abort();
	return 0;
}

static int visit_entry(void *context, const uint8_t *key, size_t key_size,
		       const char *line, size_t line_size, struct error *err)
{
	struct walk *walk = context;

	(void)line;
	(void)line_size;
	(void)err;
	if (key_compare(key, key_size, walk->key, walk->key_size) <= 0)
		abort();
	memcpy(walk->key, key, key_size);
	walk->key_size = key_size;
	return 0;
}

static int take_page(void *context, const struct hash *hash, const uint8_t *atom,
		     size_t size, struct error *err)
{
	return visit_page(context, hash, atom, size, err);
}

static void build(struct source *source, const struct hash *root)
{
	static const char line[] = "{\"path\":\"m\"}";
	struct walk walk = { 0 };
	const struct tree_sink sink = { take_page, &walk };
	autoptr(tree_builder) builder = NULL;
	struct hash result;

	if (tree_builder_new(source, root, &sink, &builder, NULL) < 0)
		return;
	(void)tree_builder_put(builder, (const uint8_t *)"b", 1, NULL, 0, NULL);
	(void)tree_builder_put(builder, (const uint8_t *)"m", 1, line, sizeof(line) - 1,
			       NULL);
	(void)tree_builder_finish(builder, &result, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct source_ops ops = { .page = give_page };
	struct fuzz_source fuzz = { .source.ops = &ops };
	const struct hash roots[2] = { { { 0, 1 } }, { { 1 } } };
	struct walk walk = { 0 };

	read_pages(&fuzz, data, size);
	(void)tree_visit_pages(&fuzz.source, &roots[0], visit_page, &walk, NULL);
	(void)tree_diff(&fuzz.source, &roots[0], &roots[1], visit_entry, &walk, NULL);
	walk = (struct walk){ 0 };
	(void)tree_diff(&fuzz.source, NULL, &roots[0], visit_entry, &walk, NULL);
	build(&fuzz.source, &roots[0]);
	return 0;
}
