/* SPDX-License-Identifier: MIT */
#include "archive/read_pieces.h"

#include "archive/frame_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 16384u

static struct frame_cache *cache;
static uint8_t buffer[4 * SIZE + READ_PIECES_SLACK];

static int make_cache(void **state)
{
	(void)state;
	return frame_cache_new(NULL, 64 * SIZE, &cache, NULL);
}

static int free_cache(void **state)
{
	(void)state;
	frame_cache_free(cache); /* asserts that no frame is in use */
	return 0;
}

static struct frame *load(unsigned number)
{
	const struct frame_key key = { .index = number, .size = SIZE };
	struct frame *frame;

	assert_int_equal(frame_cache_get(cache, &key, FRAME_WHOLE, &frame), FRAME_LOAD);
	memset(frame->data, (int)number, SIZE);
	frame_cache_loaded(cache, frame);
	return frame;
}

static void neighbours_in_the_buffer_are_one_piece(void **state)
{
	struct read_pieces pieces;

	(void)state;
	read_pieces_init(&pieces, buffer);
	for (unsigned i = 0; i < 2 * READ_PIECES_MAX; i++)
		read_pieces_add(&pieces, 10);
	assert_int_equal(pieces.count, 1);
	assert_int_equal(pieces.size, 20 * READ_PIECES_MAX);
	read_pieces_skip(&pieces, 3);
	read_pieces_add(&pieces, 5);
	assert_int_equal(pieces.count, 2);
	assert_ptr_equal(pieces.pieces[1].data, buffer + 20 * READ_PIECES_MAX + 3);
	read_pieces_done(&pieces);
}

static void gaps_take_no_room_of_what_is_to_come(void **state)
{
	struct read_pieces pieces;

	(void)state;
	read_pieces_init(&pieces, buffer);
	assert_true(read_pieces_have_room(&pieces, 1, READ_PIECES_SLACK));
	assert_false(read_pieces_have_room(&pieces, 1, READ_PIECES_SLACK + 1));
	read_pieces_skip(&pieces, READ_PIECES_SLACK);
	assert_true(read_pieces_have_room(&pieces, 1, 0));
	assert_false(read_pieces_have_room(&pieces, 1, 1));
	read_pieces_add(&pieces, 4 * SIZE);
	assert_ptr_equal(pieces.next, buffer + sizeof(buffer));
	read_pieces_done(&pieces);
}

static void there_is_always_room_for_what_is_copied(void **state)
{
	struct read_pieces pieces;
	unsigned lent = 0;

	(void)state;
	read_pieces_init(&pieces, buffer);
	for (unsigned i = 0; i < READ_PIECES_MAX; i++) {
		struct frame *frame = load(i);

		if (read_pieces_lend(&pieces, cache, frame, 100, 1000)) {
			lent++;
			assert_ptr_equal(pieces.pieces[pieces.count - 1].data,
					 frame->data + 100);
		} else {
			frame_cache_release(cache, frame);
		}
		if (i > READ_PIECES_MAX - 4)
			read_pieces_add(&pieces, 10);
	}
	assert_in_range(lent, READ_PIECES_MAX - 3, READ_PIECES_MAX - 2);
	assert_in_range(pieces.count, READ_PIECES_MAX - 1, READ_PIECES_MAX);
	assert_int_equal(pieces.size, 1000 * lent + 30);
	read_pieces_done(&pieces);
}

/* Piece after piece: buffer, gap, frame, buffer, frame. */
static void what_was_lent_can_be_kept_and_copied_from_any_byte(void **state)
{
	struct read_pieces pieces;
	uint8_t want[2 * SIZE + 15];
	uint8_t got[sizeof(want)];

	(void)state;
	read_pieces_init(&pieces, buffer);
	memset(pieces.next, 'a', 5);
	read_pieces_add(&pieces, 5);
	read_pieces_skip(&pieces, 3);
	assert_true(read_pieces_lend(&pieces, cache, load('b'), 0, SIZE));
	memset(pieces.next, 'c', 10);
	read_pieces_add(&pieces, 10);
	assert_true(read_pieces_lend(&pieces, cache, load('d'), 1, SIZE - 1));
	memset(want, 'a', 5);
	memset(want + 5, 'b', SIZE);
	memset(want + 5 + SIZE, 'c', 10);
	memset(want + 15 + SIZE, 'd', SIZE - 1);
	assert_int_equal(pieces.size, sizeof(want) - 1);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t from = 0; from < pieces.size; from += 97) {
			read_pieces_copy(&pieces, from, got, pieces.size - from);
			assert_memory_equal(got, want + from, pieces.size - from);
			read_pieces_copy(&pieces, from, got, 1);
			assert_int_equal(got[0], want[from]);
		}
		read_pieces_own(&pieces);
		for (unsigned i = 0; i < pieces.count; i++)
			assert_null(pieces.pieces[i].frame);
	}
	read_pieces_done(&pieces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_in_the_buffer_are_one_piece),
		cmocka_unit_test(gaps_take_no_room_of_what_is_to_come),
		cmocka_unit_test(there_is_always_room_for_what_is_copied),
		cmocka_unit_test(what_was_lent_can_be_kept_and_copied_from_any_byte),
	};

	return cmocka_run_group_tests(tests, make_cache, free_cache);
}
