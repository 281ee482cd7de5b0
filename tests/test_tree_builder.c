/* SPDX-License-Identifier: MIT */
#include "archive/tree_builder.h"

#include "archive/tree_diff.h"
#include "archive/tree_page.h"
#include "base/error.h"
#include "support/source_memory.h"
#include "support/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A tree with the model of what it should hold. */
struct fixture {
	struct source *source;
	struct tree_sink sink;
	struct hash root;
	struct tree_model model;
};

static void fixture_init(struct fixture *f, uint32_t count)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(source_memory_new(&f->source), 0);
	f->sink = source_memory_sink(f->source);
	tree_model_init(&f->model, count);
}

static void fixture_done(struct fixture *f)
{
	source_free(f->source);
	tree_model_done(&f->model);
}

static int copy_page(void *context, const struct hash *hash, const uint8_t *payload,
		     size_t size, struct error *err)
{
	(void)err;
	return source_memory_put(context, hash, payload, size);
}

/* Forget the pages of all trees but the present one, so that the sink complains about pages
 * that this one has, and only about them. */
static void keep_present_tree(struct fixture *f)
{
	struct source *kept;

	assert_int_equal(source_memory_new(&kept), 0);
	assert_int_equal(tree_visit_pages(f->source, &f->root, copy_page, kept, NULL), 0);
	source_free(f->source);
	f->source = kept;
	f->sink = source_memory_sink(kept);
}

/* Bring the tree to what @f->model says, coming from @old. */
static void update(struct fixture *f, const struct tree_model *old)
{
	assert_int_equal(
		tree_model_build(f->source, &f->sink, &f->root, old, &f->model, &f->root),
		0);
}

static void fresh_root(const struct tree_model *model, struct hash *root_out)
{
	struct source *source;
	struct tree_sink sink;

	assert_int_equal(source_memory_new(&source), 0);
	sink = source_memory_sink(source);
	assert_int_equal(tree_model_build(source, &sink, NULL, NULL, model, root_out), 0);
	source_free(source);
}

static void assert_as_fresh(const struct fixture *f)
{
	struct hash want;

	fresh_root(&f->model, &want);
	assert_memory_equal(&f->root, &want, sizeof(want));
}

static void decode_root(const struct fixture *f, struct tree_page **page_out)
{
	struct bytes payload;

	assert_int_equal(source_page(f->source, &f->root, &payload, NULL), 0);
	assert_int_equal(tree_page_decode(payload.data, payload.size, page_out, NULL), 0);
	free(payload.data);
}

/* Change a model as people change folders: here and there, in ranges, at the end. */
static void change_model(struct tree_model *model, uint64_t *state)
{
	uint32_t kind = tree_model_random(state) % 8;
	uint32_t first = tree_model_random(state) % model->count;
	uint32_t last = first + tree_model_random(state) % (model->count - first);
	uint32_t rarity = 1u << tree_model_random(state) % 10;

	if (kind == 0)
		first = last = tree_model_random(state) % model->count;
	if (kind == 1)
		last = model->count - 1;
	if (kind == 2)
		first = 0;
	if (kind >= 6) {
		first = 0;
		last = model->count - 1;
	}
	for (uint32_t i = first; i <= last; i++) {
		if (kind == 3 || (kind == 1 && rarity > 16) || (kind == 2 && rarity > 16))
			model->versions[i] = 0;
		else if (kind == 4)
			model->versions[i] += model->versions[i] == 0;
		else if (tree_model_random(state) % rarity == 0)
			model->versions[i] = tree_model_random(state) % 3;
	}
}

static void check_random_changes(uint32_t count, uint32_t padding, uint32_t key_size,
				 unsigned rounds, uint64_t seed)
{
	struct fixture f;

	fixture_init(&f, count);
	f.model.padding = padding;
	f.model.key_size = key_size;
	tree_model_fill(&f.model);
	update(&f, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		struct tree_model old;

		tree_model_copy(&f.model, &old);
		change_model(&f.model, &seed);
		update(&f, &old);
		tree_model_done(&old);
		assert_as_fresh(&f);
		keep_present_tree(&f);
	}
	fixture_done(&f);
}

static void changes_give_the_tree_that_a_fresh_build_gives(void **state)
{
	(void)state;
	check_random_changes(3000, 0, 0, 40, 1);
	check_random_changes(400, 0, 0, 60, 2);
}

static void so_they_do_where_pages_end_by_their_size(void **state)
{
	(void)state;
	check_random_changes(600, 6000, 0, 50, 3);
}

static void so_they_do_where_one_line_fills_a_page(void **state)
{
	(void)state;
	check_random_changes(60, 120000, 0, 40, 4);
}

static void so_they_do_where_index_pages_end_by_their_size(void **state)
{
	(void)state;
	check_random_changes(500, 9000, 3800, 40, 5);
}

static void an_empty_tree_has_no_root(void **state)
{
	autoptr(tree_builder) builder = NULL;
	struct fixture f;
	struct hash root;

	(void)state;
	fixture_init(&f, 1);
	memset(&root, 1, sizeof(root));
	assert_int_equal(tree_builder_new(f.source, NULL, &f.sink, &builder, NULL), 0);
	assert_int_equal(tree_builder_finish(builder, &root, NULL), 0);
	assert_true(hash_is_zero(&root));
	assert_int_equal(source_memory_writes(f.source), 0);
	fixture_done(&f);
}

static void a_tree_that_fits_one_leaf_is_that_leaf(void **state)
{
	autoptr(tree_page) page = NULL;
	struct fixture f;

	(void)state;
	fixture_init(&f, 20);
	tree_model_fill(&f.model);
	update(&f, NULL);
	assert_int_equal(source_memory_writes(f.source), 1);
	decode_root(&f, &page);
	assert_int_equal(page->type, TREE_LEAF);
	fixture_done(&f);
}

static void a_tree_has_more_levels_the_larger_it_is(void **state)
{
	const uint32_t counts[] = { 20, 2000, 40000 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		autoptr(tree_page) page = NULL;
		struct fixture f;

		fixture_init(&f, counts[i]);
		tree_model_fill(&f.model);
		update(&f, NULL);
		assert_int_equal(source_memory_reads(f.source), 0);
		decode_root(&f, &page);
		assert_int_equal(page->level, i);
		fixture_done(&f);
	}
}

static void removing_everything_gives_the_empty_tree(void **state)
{
	struct tree_model old;
	struct fixture f;

	(void)state;
	fixture_init(&f, 2000);
	tree_model_fill(&f.model);
	update(&f, NULL);
	tree_model_copy(&f.model, &old);
	memset(f.model.versions, 0, f.model.count * sizeof(*f.model.versions));
	source_memory_reset(f.source);
	update(&f, &old);
	assert_true(hash_is_zero(&f.root));
	assert_int_equal(source_memory_writes(f.source), 0);
	tree_model_done(&old);
	fixture_done(&f);
}

/* However much is cut off at the end, so that whole index pages are all that is left. */
static void a_tree_cut_off_anywhere_is_as_a_fresh_one(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 30000);
	tree_model_fill(&f.model);
	update(&f, NULL);
	for (uint32_t end = 29500; end > 1000; end -= 1900) {
		struct tree_model old;

		tree_model_copy(&f.model, &old);
		memset(f.model.versions + end, 0,
		       (f.model.count - end) * sizeof(*f.model.versions));
		update(&f, &old);
		tree_model_done(&old);
		assert_as_fresh(&f);
	}
	fixture_done(&f);
}

static bool ends_page(const struct tree_model *model, uint32_t i, unsigned level)
{
	autotext struct text key = { 0 };

	tree_model_key(model, i, &key);
	return tree_page_ends_after((const uint8_t *)key.data, key.size, level);
}

/* An index page that ends at once has one child; as the only page of its level it would not
 * be there. */
static void a_lone_child_becomes_the_root(void **state)
{
	unsigned found = 0;

	(void)state;
	for (uint32_t i = 300; i < 30000 && found < 3; i++) {
		struct tree_model old;
		struct fixture f;

		fixture_init(&f, i + 400);
		if (ends_page(&f.model, i, 0) && ends_page(&f.model, i, 1)) {
			found++;
			for (uint32_t k = i - 50; k < f.model.count; k++)
				f.model.versions[k] = 1;
			update(&f, NULL);
			tree_model_copy(&f.model, &old);
			for (uint32_t k = i + 1; k < f.model.count; k++)
				f.model.versions[k] = 0;
			update(&f, &old);
			tree_model_done(&old);
			assert_as_fresh(&f);
		}
		fixture_done(&f);
	}
	assert_true(found > 0);
}

/* An index page that ended with the tree, not by its last key, though all leaves did. */
static void the_last_index_page_goes_on_when_entries_are_appended(void **state)
{
	struct tree_model old;
	struct fixture f;
	uint32_t last;

	(void)state;
	fixture_init(&f, 31000);
	for (last = 30000; !ends_page(&f.model, last, 0) || ends_page(&f.model, last, 1);)
		last++;
	memset(f.model.versions, 0, f.model.count * sizeof(*f.model.versions));
	for (uint32_t i = 0; i <= last; i++)
		f.model.versions[i] = 1;
	update(&f, NULL);
	tree_model_copy(&f.model, &old);
	f.model.versions[last + 5] = 1;
	update(&f, &old);
	assert_as_fresh(&f);
	tree_model_done(&old);
	fixture_done(&f);
}

/* Where a line gives way to another of the same size, pages begin and end as before. */
static void pages_are_not_read_behind_boundaries_that_meet(void **state)
{
	unsigned reads = 0;
	const unsigned rounds = 30;
	struct fixture f;

	(void)state;
	fixture_init(&f, 1500);
	f.model.padding = 6000;
	tree_model_fill(&f.model);
	update(&f, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		autoptr(tree_builder) builder = NULL;
		autotext struct text line = { 0 };
		autotext struct text key = { 0 };
		struct hash root;
		char *mode;

		tree_model_key(&f.model, 100 + i * 40, &key);
		tree_model_line(&f.model, 100 + i * 40, 1, &line);
		mode = strstr(line.data, "\"mode\":420");
		assert_non_null(mode);
		mode[strlen("\"mode\":42")] = '1';
		source_memory_reset(f.source);
		assert_int_equal(
			tree_builder_new(f.source, &f.root, &f.sink, &builder, NULL), 0);
		assert_int_equal(tree_builder_put(builder, (const uint8_t *)key.data,
						  key.size, line.data, line.size, NULL),
				 0);
		assert_int_equal(tree_builder_finish(builder, &root, NULL), 0);
		reads += source_memory_reads(f.source);
	}
	print_message("# pages a change: %.1f read\n", (double)reads / rounds);
	assert_true(reads < 6 * rounds);
	fixture_done(&f);
}

static void a_small_change_reads_and_writes_few_pages(void **state)
{
	unsigned reads = 0;
	unsigned writes = 0;
	const unsigned rounds = 60;
	uint64_t seed = 7;
	struct fixture f;

	(void)state;
	fixture_init(&f, 20000);
	tree_model_fill(&f.model);
	update(&f, NULL);
	assert_true(source_memory_writes(f.source) > 150);
	for (unsigned i = 0; i < rounds; i++) {
		struct tree_model old;

		tree_model_copy(&f.model, &old);
		f.model.versions[tree_model_random(&seed) % f.model.count] += i + 1;
		source_memory_reset(f.source);
		update(&f, &old);
		tree_model_done(&old);
		reads += source_memory_reads(f.source);
		writes += source_memory_writes(f.source);
		assert_in_range(source_memory_writes(f.source), 3, 20);
		assert_in_range(source_memory_reads(f.source), 3, 25);
	}
	print_message("# pages a change: %.1f read, %.1f written\n",
		      (double)reads / rounds, (double)writes / rounds);
	assert_true(reads < 10 * rounds);
	assert_true(writes < 6 * rounds);
	fixture_done(&f);
}

static void putting_what_is_there_writes_nothing(void **state)
{
	struct hash before;
	struct fixture f;

	(void)state;
	fixture_init(&f, 5000);
	tree_model_fill(&f.model);
	update(&f, NULL);
	before = f.root;
	source_memory_reset(f.source);
	update(&f, NULL);
	assert_memory_equal(&f.root, &before, sizeof(before));
	assert_int_equal(source_memory_writes(f.source), 0);
	fixture_done(&f);
}

static void without_changes_nothing_is_read(void **state)
{
	struct hash before;
	struct fixture f;

	(void)state;
	fixture_init(&f, 5000);
	tree_model_fill(&f.model);
	update(&f, NULL);
	before = f.root;
	source_memory_reset(f.source);
	update(&f, &f.model);
	assert_memory_equal(&f.root, &before, sizeof(before));
	assert_int_equal(source_memory_reads(f.source), 0);
	assert_int_equal(source_memory_writes(f.source), 0);
	fixture_done(&f);
}

static int put(struct tree_builder *builder, const struct tree_model *model, uint32_t i,
	       uint32_t version)
{
	autotext struct text line = { 0 };
	autotext struct text key = { 0 };

	tree_model_key(model, i, &key);
	if (version > 0)
		tree_model_line(model, i, version, &line);
	return tree_builder_put(builder, (const uint8_t *)key.data, key.size, line.data,
				line.size, NULL);
}

static void removing_what_is_not_there_is_refused_and_harmless(void **state)
{
	autoptr(tree_builder) builder = NULL;
	struct fixture f;

	(void)state;
	fixture_init(&f, 500);
	tree_model_fill(&f.model);
	f.model.versions[10] = f.model.versions[499] = 0;
	update(&f, NULL);
	assert_int_equal(tree_builder_new(f.source, &f.root, &f.sink, &builder, NULL), 0);
	assert_int_equal(put(builder, &f.model, 10, 0), -ENOENT);
	assert_int_equal(put(builder, &f.model, 20, 5), 0);
	assert_int_equal(put(builder, &f.model, 499, 0), -ENOENT);
	assert_int_equal(put(builder, &f.model, 499, 1), 0);
	assert_int_equal(tree_builder_finish(builder, &f.root, NULL), 0);
	f.model.versions[20] = 5;
	f.model.versions[499] = 1;
	assert_as_fresh(&f);
	fixture_done(&f);
}

static void keys_that_do_not_ascend_are_refused(void **state)
{
	autoptr(tree_builder) builder = NULL;
	struct fixture f;

	(void)state;
	fixture_init(&f, 10);
	assert_int_equal(tree_builder_new(f.source, NULL, &f.sink, &builder, NULL), 0);
	assert_int_equal(put(builder, &f.model, 5, 1), 0);
	assert_int_equal(put(builder, &f.model, 5, 1), -EINVAL);
	assert_int_equal(put(builder, &f.model, 4, 1), -EINVAL);
	assert_int_equal(put(builder, &f.model, 5, 0), -EINVAL);
	assert_int_equal(put(builder, &f.model, 6, 1), 0);
	assert_int_equal(tree_builder_finish(builder, &f.root, NULL), 0);
	f.model.versions[5] = f.model.versions[6] = 1;
	assert_as_fresh(&f);
	fixture_done(&f);
}

static void lines_that_nobody_could_read_are_refused(void **state)
{
	static char big[MANIFEST_LINE_MAX + 1];
	autoptr(tree_builder) builder = NULL;
	autotext struct text line = { 0 };
	autotext struct text key = { 0 };
	const uint8_t *bytes;
	struct fixture f;

	(void)state;
	memset(big, ' ', sizeof(big));
	fixture_init(&f, 10);
	tree_model_key(&f.model, 1, &key);
	tree_model_line(&f.model, 2, 1, &line);
	bytes = (const uint8_t *)key.data;
	assert_int_equal(tree_builder_new(f.source, NULL, &f.sink, &builder, NULL), 0);
	assert_int_equal(
		tree_builder_put(builder, bytes, key.size, line.data, line.size, NULL),
		-EINVAL); /* another key's */
	tree_model_line(&f.model, 1, 1, &line);
	assert_int_equal(tree_builder_put(builder, bytes, 0, line.data, line.size, NULL),
			 -EINVAL);
	assert_int_equal(tree_builder_put(builder, bytes, key.size, line.data, 0, NULL),
			 -EINVAL);
	assert_int_equal(
		tree_builder_put(builder, bytes, key.size, big, MANIFEST_LINE_MAX, NULL),
		-EINVAL);
	assert_int_equal(text_append_char(&line, '\n'), 0);
	assert_int_equal(
		tree_builder_put(builder, bytes, key.size, line.data, line.size, NULL),
		-EINVAL);
	assert_int_equal(tree_builder_put(builder, bytes, key.size, line.data,
					  line.size - 1, NULL),
			 0);
	fixture_done(&f);
}

struct failing_sink {
	struct tree_sink sink;
	unsigned left;
};

static int fail_later(void *context, const struct hash *hash, const uint8_t *atom,
		      size_t size, struct error *err)
{
	struct failing_sink *failing = context;

	if (failing->left-- == 0)
		return error_set(err, -ENOSPC, "full");
	return failing->sink.page(failing->sink.context, hash, atom, size, err);
}

static void after_an_error_of_the_sink_there_is_no_root(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 12; n++) {
		struct failing_sink failing = { .left = n };
		const struct tree_sink sink = { fail_later, &failing };
		autoptr(tree_builder) builder = NULL;
		struct fixture f;
		int r = 0;

		fixture_init(&f, 2000);
		failing.sink = f.sink;
		assert_int_equal(tree_builder_new(f.source, NULL, &sink, &builder, NULL),
				 0);
		for (uint32_t i = 0; r == 0 && i < f.model.count; i++)
			r = put(builder, &f.model, i, 1);
		assert_int_equal(r, -ENOSPC);
		assert_int_equal(put(builder, &f.model, f.model.count - 1, 1), -ENOSPC);
		assert_int_equal(tree_builder_finish(builder, &f.root, NULL), -ENOSPC);
		assert_true(hash_is_zero(&f.root));
		fixture_done(&f);
	}
}

static void a_page_that_is_missing_is_damage(void **state)
{
	autoptr(tree_builder) builder = NULL;
	struct fixture f;

	(void)state;
	fixture_init(&f, 2000);
	tree_model_fill(&f.model);
	update(&f, NULL);
	source_memory_remove(f.source, &f.root);
	assert_int_equal(tree_builder_new(f.source, &f.root, &f.sink, &builder, NULL), 0);
	assert_int_equal(put(builder, &f.model, 5, 0), -EBADMSG);
	assert_int_equal(tree_builder_finish(builder, &f.root, NULL), -EBADMSG);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_give_the_tree_that_a_fresh_build_gives),
		cmocka_unit_test(so_they_do_where_pages_end_by_their_size),
		cmocka_unit_test(so_they_do_where_one_line_fills_a_page),
		cmocka_unit_test(so_they_do_where_index_pages_end_by_their_size),
		cmocka_unit_test(an_empty_tree_has_no_root),
		cmocka_unit_test(a_tree_that_fits_one_leaf_is_that_leaf),
		cmocka_unit_test(a_tree_has_more_levels_the_larger_it_is),
		cmocka_unit_test(removing_everything_gives_the_empty_tree),
		cmocka_unit_test(a_tree_cut_off_anywhere_is_as_a_fresh_one),
		cmocka_unit_test(a_lone_child_becomes_the_root),
		cmocka_unit_test(the_last_index_page_goes_on_when_entries_are_appended),
		cmocka_unit_test(a_small_change_reads_and_writes_few_pages),
		cmocka_unit_test(pages_are_not_read_behind_boundaries_that_meet),
		cmocka_unit_test(putting_what_is_there_writes_nothing),
		cmocka_unit_test(without_changes_nothing_is_read),
		cmocka_unit_test(removing_what_is_not_there_is_refused_and_harmless),
		cmocka_unit_test(keys_that_do_not_ascend_are_refused),
		cmocka_unit_test(lines_that_nobody_could_read_are_refused),
		cmocka_unit_test(after_an_error_of_the_sink_there_is_no_root),
		cmocka_unit_test(a_page_that_is_missing_is_damage),
	};

	return cmocka_run_group_tests_name("tree_builder", tests, NULL, NULL);
}
