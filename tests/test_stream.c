/* SPDX-License-Identifier: MIT */
/* Streams and their windows, with a body in memory whose parts can be lost. The thread of the
 * test is the event thread. */
#include "base/budget.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/pool.h"
#include "serve/stream.h"
#include "serve/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define SIZE ((size_t)WINDOW_SIZE * 5 + 12345)
#define BLOCK 40000u

struct memory_body {
	struct body base;
	uint64_t lost;      /* from here on; UINT64_MAX: nothing is */
	atomic_uint *freed; /* how many are gone */
};

/* A connection: suspended until resumed. */
struct connection {
	struct mutex mutex;
	struct cond resumed;
	unsigned waits; /* suspends without their resume */
	unsigned failures;
};

struct fixture {
	struct budget *budget;
	struct stream_service service;
	struct task_group group;
	struct connection connection;
	bool lends; /* bodies do */
	atomic_uint freed;
};

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / 251);
}

static int read_memory(struct body *body, uint64_t offset, void *data, size_t size,
		       size_t *size_out, struct error *err)
{
	struct memory_body *memory = (struct memory_body *)body;
	uint64_t end = memory->lost < SIZE ? memory->lost : SIZE;

	if (offset >= end && memory->lost < SIZE)
		return error_set(err, -EBADMSG, "lost");
	if (size > end - offset)
		size = (size_t)(end - offset);
	for (size_t i = 0; i < size; i++)
		((uint8_t *)data)[i] = byte_at(offset + i);
	*size_out = size;
	return 0;
}

/* As many pieces as there can be, and then no more, as where a read fails in between. */
static int lend_memory(struct body *body, uint64_t offset, struct read_pieces *pieces,
		       size_t size, struct error *err)
{
	for (unsigned i = 0; i < READ_PIECES_MAX && i < size; i++) {
		size_t got = 0;

		read_pieces_skip(pieces, 1);
		assert_int_equal(
			read_memory(body, offset + i, pieces->next, 1, &got, err), 0);
		read_pieces_add(pieces, got);
	}
	read_pieces_skip(pieces, 1);
	return 0;
}

static void free_memory(struct body *body)
{
	atomic_fetch_add(((struct memory_body *)body)->freed, 1);
	free(body);
}

static void on_suspend(void *context)
{
	struct connection *connection = context;
	mutex_scope(&connection->mutex);

	connection->waits++;
}

static void on_resume(void *context)
{
	struct connection *connection = context;
	mutex_scope(&connection->mutex);

	assert_true(connection->waits > 0);
	connection->waits--;
	cond_signal(&connection->resumed);
}

static void on_failed(void *context, const struct error *err)
{
	struct connection *connection = context;

	assert_true(err->text[0]);
	connection->failures++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(budget_new(64 << 20, &f->budget), 0);
	assert_int_equal(windows_new(f->budget, &f->service.windows, NULL), 0);
	assert_int_equal(pool_new(4, &f->service.pool, NULL), 0);
	task_group_init(&f->group);
	f->service.group = &f->group;
	mutex_init(&f->connection.mutex);
	cond_init(&f->connection.resumed);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(task_group_wait(&f->group, NULL), 0);
	pool_free(f->service.pool);
	windows_free(f->service.windows);
	budget_free(f->budget);
	task_group_done(&f->group);
	cond_done(&f->connection.resumed);
	mutex_done(&f->connection.mutex);
	free(f);
	return 0;
}

static struct stream *make_stream(struct fixture *f, uint64_t size, uint64_t lost,
				  struct stream_part *parts, size_t count)
{
	static const struct body_ops ops = { read_memory, free_memory, NULL };
	static const struct body_ops lending = { read_memory, free_memory, lend_memory };
	const struct stream_client client = { on_suspend, on_resume, on_failed,
					      &f->connection };
	struct memory_body *body = calloc(1, sizeof(*body));
	struct stream *stream = NULL;

	*body = (struct memory_body){ { f->lends ? &lending : &ops, size },
				      lost,
				      &f->freed };
	assert_int_equal(stream_new(&f->service, &body->base, "memory", parts, count,
				    &stream, NULL),
			 0);
	stream_set_client(stream, &client);
	return stream;
}

/* As libmicrohttpd does: ask, and when that suspends, ask again after the resume. */
static ssize_t take(struct fixture *f, struct stream *stream, uint64_t position,
		    void *data)
{
	for (;;) {
		ssize_t n = stream_take(stream, position, data, BLOCK);

		if (n != STREAM_WAIT)
			return n;
		mutex_scope(&f->connection.mutex);
		while (f->connection.waits > 0)
			cond_wait(&f->connection.resumed, &f->connection.mutex);
	}
}

/* Take everything from @position on and compare it with the body from @offset on. The bytes
 * taken; *end_out is what ended it. */
static uint64_t take_all(struct fixture *f, struct stream *stream, uint64_t position,
			 uint64_t offset, ssize_t *end_out)
{
	static uint8_t data[BLOCK];
	uint64_t total = 0;
	ssize_t n;

	while ((n = take(f, stream, position + total, data)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(data[i], byte_at(offset + total + (uint64_t)i));
		total += (uint64_t)n;
	}
	*end_out = n;
	return total;
}

static void a_body_comes_out_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct stream_part part = { .span = { 0, SIZE } };
	struct stream *stream = make_stream(f, SIZE, UINT64_MAX, &part, 1);
	ssize_t end;

	assert_int_equal(stream_size(stream), SIZE);
	assert_int_equal(stream_prefetch(stream, NULL), 0);
	assert_int_equal(take_all(f, stream, 0, 0, &end), SIZE);
	assert_int_equal(end, STREAM_END);
	stream_close(stream);
	assert_int_equal(task_group_wait(&f->group, NULL), 0);
	assert_int_equal(atomic_load(&f->freed), 1);
}

static void a_body_comes_in_more_pieces_than_there_can_be(void **state)
{
	struct fixture *f = *state;
	struct stream_part part = { .span = { 77, 10 * READ_PIECES_MAX + 5 } };
	struct stream *stream;
	ssize_t end;

	f->lends = true;
	stream = make_stream(f, SIZE, UINT64_MAX, &part, 1);
	assert_int_equal(stream_prefetch(stream, NULL), 0);
	assert_int_equal(take_all(f, stream, 0, 77, &end), 10 * READ_PIECES_MAX + 5);
	assert_int_equal(end, STREAM_END);
	stream_close(stream);
}

static void parts_have_texts_before_them(void **state)
{
	struct fixture *f = *state;
	struct stream_part parts[] = { { strdup("one"), 3, { 100, 50 } },
				       { strdup("two"), 3, { SIZE - 70, 70 } },
				       { strdup("end"), 3, { 0, 0 } } };
	struct stream *stream = make_stream(f, SIZE, UINT64_MAX, parts, 3);
	uint8_t got[200];
	size_t size = 0;
	ssize_t n;

	assert_int_equal(stream_size(stream), 129);
	while ((n = take(f, stream, size, got + size)) > 0)
		size += (size_t)n;
	assert_int_equal(n, STREAM_END);
	assert_int_equal(size, 129);
	assert_memory_equal(got, "one", 3);
	assert_int_equal(got[3], byte_at(100));
	assert_memory_equal(got + 53, "two", 3);
	assert_int_equal(got[125], byte_at(SIZE - 1));
	assert_memory_equal(got + 126, "end", 3);
	stream_close(stream);
}

static void a_loss_ends_it_where_it_is(void **state)
{
	static const uint64_t losses[] = { 1, WINDOW_SIZE - 1, WINDOW_SIZE,
					   WINDOW_SIZE + 1, 3 * WINDOW_SIZE + 777 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		struct stream_part part = { .span = { 0, SIZE } };
		struct stream *stream = make_stream(f, SIZE, losses[i], &part, 1);
		ssize_t end;

		assert_int_equal(stream_prefetch(stream, NULL), 0);
		assert_int_equal(take_all(f, stream, 0, 0, &end), losses[i]);
		assert_int_equal(end, STREAM_BROKEN);
		assert_int_equal(f->connection.failures, i + 1);
		stream_close(stream);
	}
}

static void a_loss_at_the_beginning_is_known_before(void **state)
{
	struct fixture *f = *state;
	struct stream_part part = { .span = { 500, 100 } };
	struct stream *stream = make_stream(f, SIZE, 500, &part, 1);
	struct error err = { 0 };

	assert_int_equal(stream_prefetch(stream, &err), -EBADMSG);
	assert_string_equal(err.text, "lost");
	stream_close(stream);
}

/* Without windows, blocks are read one by one into the caller's buffer. */
static void it_works_without_windows(void **state)
{
	struct fixture *f = *state;
	struct stream_part part = { .span = { 0, SIZE } };
	struct stream *stream = make_stream(f, SIZE, SIZE - 5, &part, 1);
	struct window *taken[64];
	unsigned count = 0;
	ssize_t end;

	while ((taken[count] = windows_take(f->service.windows, f, 0)))
		count++;
	assert_true(count >= 4);
	assert_int_equal(stream_prefetch(stream, NULL), 0);
	assert_int_equal(take_all(f, stream, 0, 0, &end), SIZE - 5);
	assert_int_equal(end, STREAM_BROKEN);
	stream_close(stream);
	for (unsigned i = 0; i < count; i++)
		windows_filled(f->service.windows, taken[i]);
	windows_release(f->service.windows, f);
}

/* Many streams that are taken from in turn have more windows than there are. */
static void streams_share_the_windows(void **state)
{
	enum { STREAMS = 40 };
	struct fixture *f = *state;
	struct stream *streams[STREAMS];
	static uint8_t data[BLOCK];
	uint64_t done[STREAMS] = { 0 };

	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream_part part = { .span = { i, 3 * WINDOW_SIZE } };

		streams[i] = make_stream(f, SIZE, UINT64_MAX, &part, 1);
	}
	for (unsigned left = STREAMS; left > 0;) {
		for (unsigned i = 0; i < STREAMS; i++) {
			ssize_t n;

			if (done[i] == 3 * WINDOW_SIZE)
				continue;
			n = take(f, streams[i], done[i], data);
			assert_true(n > 0);
			assert_int_equal(data[0], byte_at(i + done[i]));
			assert_int_equal(data[n - 1],
					 byte_at(i + done[i] + (uint64_t)n - 1));
			done[i] += (uint64_t)n;
			left -= done[i] == 3 * WINDOW_SIZE;
		}
	}
	for (unsigned i = 0; i < STREAMS; i++)
		stream_close(streams[i]);
}

static void a_body_of_unknown_size_is_read_in_order(void **state)
{
	struct fixture *f = *state;
	struct stream_part part = { 0 };
	struct stream *stream = make_stream(f, BODY_SIZE_UNKNOWN, UINT64_MAX, &part, 1);
	ssize_t end;

	assert_true(stream_size(stream) == BODY_SIZE_UNKNOWN);
	assert_int_equal(take_all(f, stream, 0, 0, &end), SIZE);
	assert_int_equal(end, STREAM_END);
	stream_close(stream);
}

static void it_can_be_closed_at_any_time(void **state)
{
	struct fixture *f = *state;
	static uint8_t data[BLOCK];

	for (unsigned i = 0; i < 200; i++) {
		struct stream_part part = { .span = { 0, SIZE } };
		struct stream *stream = make_stream(f, SIZE, UINT64_MAX, &part, 1);
		uint64_t position = 0;

		for (unsigned block = 0; block < i % 20; block++)
			position += (uint64_t)take(f, stream, position, data);
		stream_close(stream);
	}
	assert_int_equal(task_group_wait(&f->group, NULL), 0);
	assert_int_equal(atomic_load(&f->freed), 200);
}

#define with_fixture(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		with_fixture(a_body_comes_out_as_it_is),
		with_fixture(a_body_comes_in_more_pieces_than_there_can_be),
		with_fixture(parts_have_texts_before_them),
		with_fixture(a_loss_ends_it_where_it_is),
		with_fixture(a_loss_at_the_beginning_is_known_before),
		with_fixture(it_works_without_windows),
		with_fixture(streams_share_the_windows),
		with_fixture(a_body_of_unknown_size_is_read_in_order),
		with_fixture(it_can_be_closed_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
