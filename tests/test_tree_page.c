/* SPDX-License-Identifier: MIT */
#include "archive/tree_page.h"

#include "base/error.h"
#include "chunker/frame.h"
#include "chunker/skippable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t atom[SKIPPABLE_HEADER_SIZE + TREE_PAGE_HEADER_SIZE + FRAME_STORED_MAX];
static const uint8_t *const payload = atom + SKIPPABLE_HEADER_SIZE;
static size_t payload_size;

static void encode(enum tree_page_type type, unsigned level, const void *content,
		   size_t size)
{
	autoptr(frame_encoder) encoder = NULL;
	struct hash hash;
	struct hash want;
	size_t atom_size;
	uint32_t inner;
	unsigned kind;

	assert_int_equal(frame_encoder_new(3, &encoder, NULL), 0);
	assert_int_equal(tree_page_encode(encoder, type, level, content, size, atom,
					  &atom_size, &hash, NULL),
			 0);
	assert_int_equal(skippable_get(atom, atom_size, &kind, &inner), 0);
	assert_int_equal(kind, type == TREE_LIST ? 6 : 4);
	assert_int_equal(inner, atom_size - SKIPPABLE_HEADER_SIZE);
	payload_size = inner;
	hash_bytes(payload, payload_size, &want);
	assert_true(hash_equal(&hash, &want));
}

static void a_leaf_page_gives_its_lines_back(void **state)
{
	static const char content[] = "one\ntwo and more\n3\n";
	static const char *const lines[] = { "one", "two and more", "3" };
	autoptr(tree_page) page = NULL;
	size_t position = 0;
	const char *line;
	size_t size;

	(void)state;
	encode(TREE_LEAF, 0, content, sizeof(content) - 1);
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
	assert_int_equal(page->type, TREE_LEAF);
	assert_int_equal(page->level, 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(tree_page_next_line(page, &position, &line, &size, NULL),
				 1);
		assert_int_equal(size, strlen(lines[i]));
		assert_memory_equal(line, lines[i], size);
	}
	assert_int_equal(tree_page_next_line(page, &position, &line, &size, NULL), 0);
}

static void an_index_page_gives_its_children_back(void **state)
{
	autoptr(tree_page) page = NULL;
	uint8_t content[2 * TREE_CHILD_SIZE + 7] = { 3, 0, 'a', 0, 'b' };
	size_t position = 0;
	const uint8_t *key;
	struct hash child;
	size_t size;

	(void)state;
	memset(content + 5, 0x11, HASH_SIZE);
	content[37] = 4;
	memcpy(content + 39, "a\0bc", 4);
	memset(content + 43, 0x22, HASH_SIZE);
	encode(TREE_INDEX, 7, content, sizeof(content));
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
	assert_int_equal(page->level, 7);

	assert_int_equal(tree_page_next_child(page, &position, &key, &size, &child, NULL),
			 1);
	assert_int_equal(size, 3);
	assert_memory_equal(key, "a\0b", 3);
	assert_int_equal(child.bytes[31], 0x11);
	assert_int_equal(tree_page_next_child(page, &position, &key, &size, &child, NULL),
			 1);
	assert_int_equal(size, 4);
	assert_memory_equal(key, "a\0bc", 4);
	assert_int_equal(child.bytes[0], 0x22);
	assert_int_equal(tree_page_next_child(page, &position, &key, &size, &child, NULL),
			 0);
}

static void a_list_page_gives_its_ids_back(void **state)
{
	static uint8_t content[LIST_PAGE_IDS * HASH_SIZE];
	autoptr(tree_page) page = NULL;
	const struct hash *ids;
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 7);
	encode(TREE_LIST, 0, content, sizeof(content));
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
	assert_int_equal(tree_page_ids(page, &ids, &count, NULL), 0);
	assert_int_equal(count, LIST_PAGE_IDS);
	assert_memory_equal(ids, content, sizeof(content));
}

static void a_list_page_with_half_an_id_or_too_many_is_refused(void **state)
{
	static uint8_t content[(LIST_PAGE_IDS + 1) * HASH_SIZE];
	const size_t sizes[] = { 1, 33, sizeof(content) };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		autoptr(tree_page) page = NULL;
		const struct hash *ids;
		size_t count;

		encode(TREE_LIST, 0, content, sizes[i]);
		assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
		assert_int_equal(tree_page_ids(page, &ids, &count, NULL), -EBADMSG);
	}
}

static void a_page_of_full_size_goes_round(void **state)
{
	autofree uint8_t *content = malloc(TREE_PAGE_CONTENT_MAX);
	autoptr(tree_page) page = NULL;

	(void)state;
	assert_non_null(content);
	for (size_t i = 0; i < TREE_PAGE_CONTENT_MAX; i++)
		content[i] = (uint8_t)(i * i >> 7);
	encode(TREE_LEAF, 0, content, TREE_PAGE_CONTENT_MAX);
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
	assert_int_equal(page->size, TREE_PAGE_CONTENT_MAX);
	assert_memory_equal(page->content, content, page->size);
}

static void iterators_refuse_pages_of_another_type(void **state)
{
	autoptr(tree_page) page = NULL;
	size_t position = 0;
	const struct hash *ids;
	const uint8_t *key;
	const char *line;
	struct hash child;
	size_t size;

	(void)state;
	encode(TREE_LEAF, 0, "x\n", 2);
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
	assert_int_equal(tree_page_next_child(page, &position, &key, &size, &child, NULL),
			 -EBADMSG);
	assert_int_equal(tree_page_ids(page, &ids, &size, NULL), -EBADMSG);
	tree_page_free(take_ptr(page));
	encode(TREE_INDEX, 1, "x\n", 2);
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
	assert_int_equal(tree_page_next_line(page, &position, &line, &size, NULL),
			 -EBADMSG);
}

static void lines_that_are_empty_or_do_not_end_are_refused(void **state)
{
	static const char *const bad[] = { "\n", "no end", "\nx\n" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		autoptr(tree_page) page = NULL;
		size_t position = 0;
		const char *line;
		size_t size;

		encode(TREE_LEAF, 0, bad[i], strlen(bad[i]));
		assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
		assert_int_equal(tree_page_next_line(page, &position, &line, &size, NULL),
				 -EBADMSG);
	}
}

static void every_truncated_child_is_refused(void **state)
{
	uint8_t content[TREE_CHILD_SIZE + 5] = { 5, 0, 'n', 'a', 'm', 'e', 's' };

	(void)state;
	for (size_t n = 1; n <= sizeof(content); n++) {
		autoptr(tree_page) page = NULL;
		size_t position = 0;
		const uint8_t *key;
		struct hash child;
		size_t size;

		encode(TREE_INDEX, 1, content, n);
		assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
		assert_int_equal(
			tree_page_next_child(page, &position, &key, &size, &child, NULL),
			n == sizeof(content) ? 1 : -EBADMSG);
	}
}

static void keys_of_no_bytes_or_too_many_are_refused(void **state)
{
	static uint8_t content[TREE_CHILD_SIZE + MANIFEST_KEY_MAX + 1];
	const uint16_t sizes[] = { 0, MANIFEST_KEY_MAX + 1 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		autoptr(tree_page) page = NULL;
		size_t position = 0;
		const uint8_t *key;
		struct hash child;
		size_t size;

		content[0] = (uint8_t)sizes[i];
		content[1] = (uint8_t)(sizes[i] >> 8);
		encode(TREE_INDEX, 1, content, sizeof(content));
		assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
		assert_int_equal(
			tree_page_next_child(page, &position, &key, &size, &child, NULL),
			-EBADMSG);
	}
}

static void every_truncation_of_a_page_is_refused(void **state)
{
	static const char content[] = "a line of some length, length, length, length\n";
	struct tree_page *page = NULL;

	(void)state;
	encode(TREE_LEAF, 0, content, sizeof(content) - 1);
	for (size_t n = 0; n < payload_size; n++) {
		assert_int_equal(tree_page_decode(payload, n, &page, NULL), -EBADMSG);
		assert_null(page);
	}
	assert_int_equal(tree_page_decode(payload, payload_size + 1, &page, NULL),
			 -EBADMSG);
}

static void headers_out_of_range_are_refused(void **state)
{
	static const struct {
		unsigned offset;
		uint8_t value;
		int want;
	} cases[] = {
		{ 0, 'b', -EBADMSG },        /* magic */
		{ 4, 2, -EPROTONOSUPPORT },  /* version */
		{ 5, 3, -EBADMSG },          /* type */
		{ 5, TREE_INDEX, -EBADMSG }, /* an index page on level 0 */
		{ 6, 1, -EBADMSG },          /* a leaf page on level 1 */
		{ 8, 0, -EBADMSG },          /* no content */
		{ 8, 3, -EBADMSG },          /* more content than there is */
		{ 10, 4, -EBADMSG },         /* too much content */
		{ 11, 0xff, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tree_page *page = NULL;

		encode(TREE_LEAF, 0, "x\n", 2);
		atom[SKIPPABLE_HEADER_SIZE + cases[i].offset] = cases[i].value;
		assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL),
				 cases[i].want);
		assert_null(page);
	}
	encode(TREE_INDEX, TREE_LEVEL_MAX, "x\n", 2);
	atom[SKIPPABLE_HEADER_SIZE + 6]++;
	assert_int_equal(
		tree_page_decode(payload, payload_size, &(struct tree_page *){ 0 }, NULL),
		-EBADMSG);
}

static void reserved_bytes_are_ignored(void **state)
{
	autoptr(tree_page) page = NULL;

	(void)state;
	encode(TREE_LEAF, 0, "x\n", 2);
	atom[SKIPPABLE_HEADER_SIZE + 7] = 0xff;
	assert_int_equal(tree_page_decode(payload, payload_size, &page, NULL), 0);
}

static void one_key_in_128_ends_a_page_on_each_level_alone(void **state)
{
	unsigned counts[3] = { 0 };
	unsigned both = 0;

	(void)state;
	for (uint32_t i = 0; i < 128 * 128; i++) {
		const uint8_t *key = (const uint8_t *)&i;
		int ends[3];

		for (unsigned level = 0; level < 3; level++) {
			ends[level] = tree_page_ends_after(key, sizeof(i), level);
			counts[level] += (unsigned)ends[level];
		}
		both += (unsigned)(ends[0] && ends[1]);
	}
	for (unsigned level = 0; level < 3; level++)
		assert_in_range(counts[level], 90, 170);
	assert_in_range(both, 0, 6);
}

static void the_cut_is_the_low_bits_of_the_hash(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct hash hash;

		hash_bytes(&i, sizeof(i), &hash);
		for (unsigned level = 0; level <= TREE_LEVEL_MAX; level++)
			assert_int_equal(tree_page_ends_after((const uint8_t *)&i,
							      sizeof(i), level),
					 (hash.bytes[level] & 0x7f) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_page_gives_its_lines_back),
		cmocka_unit_test(an_index_page_gives_its_children_back),
		cmocka_unit_test(a_list_page_gives_its_ids_back),
		cmocka_unit_test(a_list_page_with_half_an_id_or_too_many_is_refused),
		cmocka_unit_test(a_page_of_full_size_goes_round),
		cmocka_unit_test(iterators_refuse_pages_of_another_type),
		cmocka_unit_test(lines_that_are_empty_or_do_not_end_are_refused),
		cmocka_unit_test(every_truncated_child_is_refused),
		cmocka_unit_test(keys_of_no_bytes_or_too_many_are_refused),
		cmocka_unit_test(every_truncation_of_a_page_is_refused),
		cmocka_unit_test(headers_out_of_range_are_refused),
		cmocka_unit_test(reserved_bytes_are_ignored),
		cmocka_unit_test(one_key_in_128_ends_a_page_on_each_level_alone),
		cmocka_unit_test(the_cut_is_the_low_bits_of_the_hash),
	};

	return cmocka_run_group_tests_name("tree_page", tests, NULL, NULL);
}
