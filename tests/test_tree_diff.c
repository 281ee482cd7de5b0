/* SPDX-License-Identifier: MIT */
#include "archive/tree_diff.h"

#include "archive/tree_builder.h"
#include "archive/tree_page.h"
#include "base/bytes.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "chunker/skippable.h"
#include "support/source_memory.h"
#include "support/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct source *source;
static struct tree_model model;

static int set_up(void **state)
{
	(void)state;
	tree_model_init(&model, 6000);
	return source_memory_new(&source);
}

static int tear_down(void **state)
{
	(void)state;
	tree_model_done(&model);
	source_free(source);
	return 0;
}

/* Takes pages that other trees have, too. */
static int put_page(void *context, const struct hash *hash, const uint8_t *atom,
		    size_t size, struct error *err)
{
	(void)err;
	return source_memory_put(context, hash, atom + SKIPPABLE_HEADER_SIZE,
				 size - SKIPPABLE_HEADER_SIZE);
}

static void build(const struct tree_model *what, struct hash *root_out)
{
	const struct tree_sink sink = { put_page, source };

	assert_int_equal(tree_model_build(source, &sink, NULL, NULL, what, root_out), 0);
}

/* Checks a diff's visits against the models, entry by entry. */
struct checker {
	const struct tree_model *old;
	const struct tree_model *new;
	uint32_t next; /* entries before it are dealt with */
	unsigned count;
	unsigned stop_after; /* visits; 0: never */
};

static bool differs(const struct checker *checker, uint32_t i)
{
	return checker->old->versions[i] != checker->new->versions[i];
}

static int check_visit(void *context, const uint8_t *key, size_t key_size,
		       const char *line, size_t line_size, struct error *err)
{
	struct checker *checker = context;
	autotext struct text want = { 0 };

	while (checker->next < model.count && !differs(checker, checker->next))
		checker->next++;
	assert_true(checker->next < model.count);
	tree_model_key(&model, checker->next, &want);
	assert_int_equal(key_size, want.size);
	assert_memory_equal(key, want.data, key_size);
	if (checker->new->versions[checker->next] == 0) {
		assert_null(line);
		assert_int_equal(line_size, 0);
	} else {
		tree_model_line(&model, checker->next,
				checker->new->versions[checker->next], &want);
		assert_int_equal(line_size, want.size);
		assert_memory_equal(line, want.data, line_size);
	}
	checker->next++;
	checker->count++;
	if (checker->count == checker->stop_after)
		return error_set(err, -EINTR, "enough");
	return 0;
}

static unsigned check_diff(const struct tree_model *old, const struct hash *old_root,
			   const struct tree_model *new, const struct hash *new_root)
{
	struct checker checker = { .old = old, .new = new };

	source_memory_reset(source);
	assert_int_equal(
		tree_diff(source, old_root, new_root, check_visit, &checker, NULL), 0);
	for (; checker.next < model.count; checker.next++)
		assert_false(differs(&checker, checker.next));
	return checker.count;
}

static void randomize(struct tree_model *what, uint64_t *state)
{
	uint32_t first = tree_model_random(state) % what->count;
	uint32_t last = first + tree_model_random(state) % (what->count - first);
	uint32_t rarity = 1u << tree_model_random(state) % 10;
	bool remove = tree_model_random(state) % 4 == 0;

	for (uint32_t i = first; i <= last; i++) {
		if (remove)
			what->versions[i] = 0;
		else if (tree_model_random(state) % rarity == 0)
			what->versions[i] = tree_model_random(state) % 3;
	}
}

static void check_random_diffs(uint32_t padding, unsigned rounds, uint64_t seed)
{
	struct tree_model old;
	struct hash old_root;

	model.padding = padding;
	tree_model_copy(&model, &old);
	build(&old, &old_root);
	for (unsigned i = 0; i < rounds; i++) {
		struct tree_model new;
		struct hash new_root;

		tree_model_copy(&old, &new);
		randomize(&new, &seed);
		build(&new, &new_root);
		check_diff(&old, &old_root, &new, &new_root);
		check_diff(&new, &new_root, &old, &old_root);
		tree_model_done(&old);
		old = new;
		old_root = new_root;
	}
	tree_model_done(&old);
}

static void a_diff_finds_what_a_naive_one_finds(void **state)
{
	(void)state;
	tree_model_fill(&model);
	check_random_diffs(0, 40, 1);
}

static void so_it_does_where_pages_end_by_their_size(void **state)
{
	(void)state;
	model.count = 700;
	check_random_diffs(5000, 60, 2);
}

static void against_an_empty_tree_everything_differs(void **state)
{
	const struct hash zero = { 0 };
	struct tree_model empty;
	struct hash root;

	(void)state;
	tree_model_copy(&model, &empty);
	tree_model_fill(&model);
	build(&model, &root);
	assert_int_equal(check_diff(&empty, NULL, &model, &root), model.count);
	assert_int_equal(check_diff(&model, &root, &empty, &zero), model.count);
	assert_int_equal(check_diff(&empty, NULL, &empty, &zero), 0);
	tree_model_done(&empty);
}

static void the_same_tree_is_not_read(void **state)
{
	struct hash root;

	(void)state;
	tree_model_fill(&model);
	build(&model, &root);
	assert_int_equal(check_diff(&model, &root, &model, &root), 0);
	assert_int_equal(source_memory_reads(source), 0);
}

static void a_small_change_reads_few_pages(void **state)
{
	const unsigned rounds = 40;
	struct hash root;
	uint64_t seed = 3;
	unsigned reads = 0;

	(void)state;
	tree_model_fill(&model);
	build(&model, &root);
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t changed = tree_model_random(&seed) % model.count;
		struct tree_model new;
		struct hash new_root;

		tree_model_copy(&model, &new);
		new.versions[changed] = i % 3 ? i : 0;
		build(&new, &new_root);
		assert_int_equal(check_diff(&model, &root, &new, &new_root), i != 1);
		assert_in_range(source_memory_reads(source), i == 1 ? 0 : 4, 24);
		reads += source_memory_reads(source);
		tree_model_done(&new);
	}
	print_message("# pages a diff: %.1f read\n", (double)reads / rounds);
	assert_true(reads < 9 * rounds);
}

/* The next entry from @i on that ends a leaf page. */
static uint32_t next_cut(uint32_t i)
{
	autotext struct text key = { 0 };

	for (;; i++) {
		tree_model_key(&model, i, &key);
		if (tree_page_ends_after((const uint8_t *)key.data, key.size, 0))
			return i;
	}
}

/* What follows is known by its hash although there is a page more in front of it. */
static void pages_that_were_added_do_not_cause_the_next_to_be_read(void **state)
{
	uint32_t first = next_cut(2000) + 1;
	uint32_t last = next_cut(first);
	struct hash old_root;
	struct hash new_root;
	struct tree_model old;

	(void)state;
	assert_in_range(last - first, 3, 120);
	tree_model_fill(&model);
	tree_model_copy(&model, &old);
	for (uint32_t i = first; i <= last; i++)
		old.versions[i] = 0;
	build(&old, &old_root);
	build(&model, &new_root);
	assert_int_equal(check_diff(&old, &old_root, &model, &new_root),
			 last - first + 1);
	/* Two index pages on either side, and the page that was added. */
	assert_int_equal(source_memory_reads(source), 5);
	assert_int_equal(check_diff(&model, &new_root, &old, &old_root),
			 last - first + 1);
	assert_int_equal(source_memory_reads(source), 5);
	tree_model_done(&old);
}

static void a_visitor_can_stop(void **state)
{
	struct checker checker = { .new = &model, .stop_after = 7 };
	struct tree_model empty;
	struct hash root;

	(void)state;
	tree_model_copy(&model, &empty);
	checker.old = &empty;
	tree_model_fill(&model);
	build(&model, &root);
	assert_int_equal(tree_diff(source, NULL, &root, check_visit, &checker, NULL),
			 -EINTR);
	assert_int_equal(checker.count, 7);
	tree_model_done(&empty);
}

static int count_page(void *context, const struct hash *hash, const uint8_t *payload,
		      size_t size, struct error *err)
{
	struct hash real;

	(void)err;
	hash_bytes(payload, size, &real);
	assert_true(hash_equal(&real, hash));
	++*(unsigned *)context;
	return 0;
}

static void all_pages_of_a_tree_are_visited_once(void **state)
{
	struct tree_sink sink = source_memory_sink(source);
	unsigned count = 0;
	struct hash root;

	(void)state;
	tree_model_fill(&model);
	assert_int_equal(tree_model_build(source, &sink, NULL, NULL, &model, &root), 0);
	assert_int_equal(tree_visit_pages(source, &root, count_page, &count, NULL), 0);
	assert_true(count > 50);
	assert_int_equal(count, source_memory_writes(source));
	assert_int_equal(source_memory_reads(source), count);
	assert_int_equal(tree_visit_pages(source, NULL, count_page, &count, NULL), 0);
	assert_int_equal(count, source_memory_writes(source));
}

static void make_page(enum tree_page_type type, unsigned level, const void *content,
		      size_t size, struct hash *hash_out)
{
	static uint8_t
		atom[SKIPPABLE_HEADER_SIZE + TREE_PAGE_HEADER_SIZE + FRAME_STORED_MAX];
	autoptr(frame_encoder) encoder = NULL;
	size_t atom_size;

	assert_int_equal(frame_encoder_new(3, &encoder, NULL), 0);
	assert_int_equal(tree_page_encode(encoder, type, level, content, size, atom,
					  &atom_size, hash_out, NULL),
			 0);
	assert_int_equal(put_page(source, hash_out, atom, atom_size, NULL), 0);
}

static void add_line(struct text *content, uint32_t i)
{
	autotext struct text line = { 0 };

	tree_model_line(&model, i, 1, &line);
	assert_int_equal(text_append_bytes(content, line.data, line.size), 0);
	assert_int_equal(text_append_char(content, '\n'), 0);
}

static void add_child(struct text *content, uint32_t i, const struct hash *hash)
{
	autotext struct text key = { 0 };
	le16 size;

	tree_model_key(&model, i, &key);
	size = le16_make((uint16_t)key.size);
	assert_int_equal(text_append_bytes(content, &size, sizeof(size)), 0);
	assert_int_equal(text_append_bytes(content, key.data, key.size), 0);
	assert_int_equal(text_append_bytes(content, hash, sizeof(*hash)), 0);
}

/* A leaf page with entries @first and @last. */
static void make_leaf(uint32_t first, uint32_t last, struct hash *hash_out)
{
	autotext struct text content = { 0 };

	add_line(&content, first);
	add_line(&content, last);
	make_page(TREE_LEAF, 0, content.data, content.size, hash_out);
}

/* An index page whose children end with @key_a and @key_b. */
static void make_index(unsigned level, uint32_t key_a, const struct hash *a,
		       uint32_t key_b, const struct hash *b, struct hash *hash_out)
{
	autotext struct text content = { 0 };

	add_child(&content, key_a, a);
	add_child(&content, key_b, b);
	make_page(TREE_INDEX, level, content.data, content.size, hash_out);
}

static int ignore_entry(void *context, const uint8_t *key, size_t key_size,
			const char *line, size_t line_size, struct error *err)
{
	(void)context;
	(void)key;
	(void)key_size;
	(void)line;
	(void)line_size;
	(void)err;
	return 0;
}

static void assert_walks(const struct hash *root, int want)
{
	struct tree_sink sink = { put_page, source };
	struct tree_model all;
	unsigned count = 0;
	struct hash result;

	assert_int_equal(tree_visit_pages(source, root, count_page, &count, NULL), want);
	assert_int_equal(tree_diff(source, root, NULL, ignore_entry, NULL, NULL), want);
	assert_int_equal(tree_diff(source, NULL, root, ignore_entry, NULL, NULL), want);
	tree_model_copy(&model, &all);
	memset(all.versions, 0, all.count * sizeof(*all.versions));
	for (uint32_t i = 0; i < 50; i++)
		all.versions[i] = 2;
	assert_int_equal(tree_model_build(source, &sink, root, NULL, &all, &result),
			 want);
	tree_model_done(&all);
}

static void a_tree_made_by_hand_is_walked(void **state)
{
	struct hash a;
	struct hash b;
	struct hash root;

	(void)state;
	make_leaf(10, 11, &a);
	make_leaf(12, 13, &b);
	make_index(1, 11, &a, 13, &b, &root);
	assert_walks(&root, 0);
}

static void keys_that_do_not_ascend_in_a_page_are_refused(void **state)
{
	struct hash a;
	struct hash b;
	struct hash root;

	(void)state;
	make_leaf(11, 10, &root);
	assert_walks(&root, -EBADMSG);
	make_leaf(10, 10, &root);
	assert_walks(&root, -EBADMSG);
	make_leaf(10, 11, &a);
	make_leaf(12, 13, &b);
	make_index(1, 13, &b, 11, &a, &root);
	assert_walks(&root, -EBADMSG);
	make_index(1, 11, &a, 11, &a, &root);
	assert_walks(&root, -EBADMSG);
}

static void keys_that_do_not_ascend_across_pages_are_refused(void **state)
{
	struct hash a;
	struct hash b;
	struct hash root;

	(void)state;
	make_leaf(10, 12, &a);
	make_leaf(11, 13, &b);
	make_index(1, 12, &a, 13, &b, &root);
	assert_walks(&root, -EBADMSG);
	make_leaf(12, 13, &b);
	make_index(1, 12, &a, 13, &b, &root);
	assert_walks(&root, -EBADMSG);
}

static void a_child_that_ends_elsewhere_than_its_parent_says_is_refused(void **state)
{
	struct hash a;
	struct hash b;
	struct hash root;

	(void)state;
	make_leaf(10, 11, &a);
	make_leaf(14, 15, &b);
	make_index(1, 12, &a, 15, &b, &root);
	assert_walks(&root, -EBADMSG);
	make_index(1, 11, &a, 14, &b, &root);
	assert_walks(&root, -EBADMSG);
}

static void levels_that_do_not_descend_by_one_are_refused(void **state)
{
	struct hash a;
	struct hash b;
	struct hash index;
	struct hash root;

	(void)state;
	make_leaf(10, 11, &a);
	make_leaf(12, 13, &b);
	make_index(2, 11, &a, 13, &b, &root);
	assert_walks(&root, -EBADMSG);
	make_index(1, 11, &a, 13, &b, &index);
	make_index(1, 13, &index, 15, &index, &root);
	assert_walks(&root, -EBADMSG);
}

static void a_page_inside_itself_is_refused(void **state)
{
	const struct hash self = { { 42 } };
	struct bytes payload;
	struct hash real;

	(void)state;
	make_index(3, 11, &self, 13, &self, &real);
	assert_int_equal(source_page(source, &real, &payload, NULL), 0);
	assert_int_equal(source_memory_put(source, &self, payload.data, payload.size), 0);
	free(payload.data);
	assert_int_equal(tree_diff(source, NULL, &self, ignore_entry, NULL, NULL),
			 -EBADMSG);
}

static void a_list_page_inside_the_tree_is_refused(void **state)
{
	uint8_t ids[64] = { 1 };
	struct hash root;

	(void)state;
	make_page(TREE_LIST, 0, ids, sizeof(ids), &root);
	assert_walks(&root, -EBADMSG);
}

static void a_page_that_is_missing_is_damage(void **state)
{
	struct hash a;
	struct hash b;
	struct hash root;

	(void)state;
	make_leaf(10, 11, &a);
	make_leaf(12, 13, &b);
	make_index(1, 11, &a, 13, &b, &root);
	source_memory_remove(source, &b);
	assert_walks(&root, -EBADMSG);
}

/* A tree of one file with as many list pages as @count. */
static void make_tree_with_lists(size_t count, struct hash lists_out[],
				 struct hash *root_out)
{
	struct manifest manifest = { .type = ENTRY_FILE, .version = 1 };
	autotext struct text content = { 0 };

	manifest.key = (struct bytes){ (uint8_t *)strdup("large"), 5 };
	manifest.size = UINT64_C(1) << 40;
	manifest.hash.bytes[0] = 1;
	manifest.segment_pages = calloc(count, sizeof(struct hash));
	manifest.segment_page_count = count;
	assert_non_null(manifest.segment_pages);
	for (size_t i = 0; i < count; i++) {
		uint8_t ids[96];

		memset(ids, (int)i + 1, sizeof(ids));
		make_page(TREE_LIST, 0, ids, sizeof(ids), &lists_out[i]);
		manifest.segment_pages[i] = lists_out[i];
	}
	assert_int_equal(manifest_encode(&manifest, &content, NULL), 0);
	manifest_done(&manifest);
	make_page(TREE_LEAF, 0, content.data, content.size, root_out);
}

static void list_pages_are_visited_too(void **state)
{
	struct hash lists[17];
	struct hash root;
	unsigned count = 0;

	(void)state;
	make_tree_with_lists(17, lists, &root);
	assert_int_equal(tree_visit_pages(source, &root, count_page, &count, NULL), 0);
	assert_int_equal(count, 18);
	source_memory_remove(source, &lists[16]);
	assert_int_equal(tree_visit_pages(source, &root, count_page, &count, NULL),
			 -EBADMSG);
}

static void a_leaf_page_in_place_of_a_list_page_is_refused(void **state)
{
	struct hash lists[17];
	struct bytes payload;
	unsigned count = 0;
	struct hash root;

	(void)state;
	make_tree_with_lists(17, lists, &root);
	assert_int_equal(source_page(source, &root, &payload, NULL), 0);
	assert_int_equal(source_memory_put(source, &lists[3], payload.data, payload.size),
			 0);
	free(payload.data);
	assert_int_equal(tree_visit_pages(source, &root, count_page, &count, NULL),
			 -EBADMSG);
	assert_int_equal(count, 4);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_diff_finds_what_a_naive_one_finds),
		CASE(so_it_does_where_pages_end_by_their_size),
		CASE(against_an_empty_tree_everything_differs),
		CASE(the_same_tree_is_not_read),
		CASE(a_small_change_reads_few_pages),
		CASE(pages_that_were_added_do_not_cause_the_next_to_be_read),
		CASE(a_visitor_can_stop),
		CASE(all_pages_of_a_tree_are_visited_once),
		CASE(a_tree_made_by_hand_is_walked),
		CASE(keys_that_do_not_ascend_in_a_page_are_refused),
		CASE(keys_that_do_not_ascend_across_pages_are_refused),
		CASE(a_child_that_ends_elsewhere_than_its_parent_says_is_refused),
		CASE(levels_that_do_not_descend_by_one_are_refused),
		CASE(a_page_inside_itself_is_refused),
		CASE(a_list_page_inside_the_tree_is_refused),
		CASE(a_page_that_is_missing_is_damage),
		CASE(list_pages_are_visited_too),
		CASE(a_leaf_page_in_place_of_a_list_page_is_refused),
	};

	return cmocka_run_group_tests_name("tree_diff", tests, NULL, NULL);
}
