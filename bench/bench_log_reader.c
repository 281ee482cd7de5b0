/* SPDX-License-Identifier: MIT */
/* How fast a log is read from an image file: sequentially, frame by frame, from one or more
 * threads that share a reader. The file should be in the page cache: run it twice.
 *
 *     bench_log_reader FILE [THREADS [PIECE_BYTES]]
 */
#include "base/clock.h"
#include "base/error.h"
#include "volume/backend.h"
#include "volume/chain.h"
#include "volume/log_reader.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX 64

/* Every stripe that the chain lists. */
struct list {
	struct stripe_info *stripes;
	size_t count;
	uint64_t log_end;
};

struct worker {
	pthread_t thread;
	struct log_reader *reader;
	uint64_t start, end;
	size_t piece;
	int r;
	struct error err;
};

static int add(struct list *list, const struct stripe_info *stripe)
{
	struct stripe_info *stripes =
		reallocarray(list->stripes, list->count + 1, sizeof(*stripes));
	int r;

	if (!stripes)
		return -ENOMEM;
	list->stripes = stripes;
	r = stripe_info_copy(stripe, &stripes[list->count]);
	if (r < 0)
		return r;
	if (stripe->log_start + stripe_log_size(stripe) > list->log_end)
		list->log_end = stripe->log_start + stripe_log_size(stripe);
	list->count++;
	return 0;
}

static int collect(void *context, const struct record *record,
		   const struct stripe_info *own, struct error *err)
{
	int r = add(context, own);

	(void)err;
	for (size_t i = 0; i < record->stripe_count && r == 0; i++)
		if (record->stripes[i].offset != record->previous_offset)
			r = add(context, &record->stripes[i]);
	return r;
}

static int find(void *context, uint64_t log_offset, struct stripe_info *stripe_out,
		struct error *err)
{
	const struct list *list = context;

	for (size_t i = 0; i < list->count; i++)
		if (log_offset >= list->stripes[i].log_start &&
		    log_offset - list->stripes[i].log_start <
			    stripe_log_size(&list->stripes[i]))
			return stripe_info_copy(&list->stripes[i], stripe_out);
	return error_set(err, -ENOENT, "outside the log");
}

static void *work(void *context)
{
	struct worker *worker = context;
	uint8_t *data = malloc(worker->piece);

	for (uint64_t at = worker->start; data && at < worker->end && worker->r == 0;) {
		size_t size = worker->end - at < worker->piece
				      ? (size_t)(worker->end - at)
				      : worker->piece;

		worker->r = log_read(worker->reader, at, data, size, NULL, &worker->err);
		at += size;
	}
	free(data);
	return NULL;
}

static int run(struct log_reader *reader, uint64_t size, unsigned threads, size_t piece)
{
	struct worker workers[THREADS_MAX] = { 0 };
	uint64_t before = clock_monotonic_ns();
	double seconds;
	int r = 0;

	for (unsigned i = 0; i < threads; i++) {
		workers[i].reader = reader;
		workers[i].start = size / threads * i;
		workers[i].end = i + 1 == threads ? size : size / threads * (i + 1);
		workers[i].piece = piece;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].r < 0) {
			fprintf(stderr, "%s\n", workers[i].err.text);
			r = workers[i].r;
		}
	}
	seconds = (double)(clock_monotonic_ns() - before) / 1e9;
	printf("%u threads, pieces of %zu: %.2f GB in %.2f s, %.2f GB/s\n", threads,
	       piece, (double)size / 1e9, seconds, (double)size / 1e9 / seconds);
	return r;
}

int main(int argc, char **argv)
{
	unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
	size_t piece = argc > 3 ? strtoul(argv[3], NULL, 10) : 262159;
	struct list list = { 0 };
	struct stripe_lookup lookup = { find, &list };
	autoptr(backend) backend = NULL;
	autoptr(log_reader) reader = NULL;
	struct error err = { 0 };
	struct uuid volume;
	int r;

	if (argc < 2 || threads < 1 || threads > THREADS_MAX || piece < 1) {
		fprintf(stderr, "usage: bench_log_reader FILE [THREADS [PIECE_BYTES]]\n");
		return 2;
	}
	r = backend_file_open(AT_FDCWD, argv[1], 0, &backend, &err);
	if (r == 0)
		r = chain_identify(backend, &volume, &err);
	if (r == 0)
		r = chain_visit_back(backend, &volume, NULL, collect, &list, &err);
	if (r == 0)
		r = log_reader_new(backend, &volume, &lookup, 16 << 20, &reader, &err);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	r = run(reader, list.log_end, threads, piece);
	for (size_t i = 0; i < list.count; i++)
		stripe_info_done(&list.stripes[i]);
	free(list.stripes);
	return r < 0;
}
