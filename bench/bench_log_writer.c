/* SPDX-License-Identifier: MIT */
/* How fast the log writer is: appends incompressible atoms and commits.
 *
 *     bench_log_writer [-k DATA] [-m PARITY] [-b BUDGET_MIB] [-t THREADS] GIB [FILE]
 *
 * Without FILE the bytes are discarded: the speed of hashing, coding and copying. */
#include "base/budget.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/size.h"
#include "chunker/frame.h"
#include "volume/backend.h"
#include "volume/log_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Takes everything, keeps nothing. */
struct discard {
	struct backend base;
	uint64_t position;
};

static int discard_append(struct backend *backend, const void *data, size_t size,
			  struct error *err)
{
	(void)data;
	(void)err;
	((struct discard *)backend)->position += size;
	return 0;
}

static int discard_skip(struct backend *backend, uint64_t size, struct error *err)
{
	(void)err;
	((struct discard *)backend)->position += size;
	return 0;
}

static int discard_sync(struct backend *backend, struct error *err)
{
	(void)backend;
	(void)err;
	return 0;
}

static uint64_t discard_position(struct backend *backend)
{
	return ((struct discard *)backend)->position;
}

static uint64_t discard_capacity(struct backend *backend)
{
	(void)backend;
	return UINT64_MAX;
}

static void discard_free(struct backend *backend)
{
	free(backend);
}

static const struct backend_ops discard_ops = {
	.type = "discard",
	.append = discard_append,
	.skip = discard_skip,
	.sync = discard_sync,
	.seal = discard_sync,
	.position = discard_position,
	.capacity = discard_capacity,
	.free = discard_free,
};

static struct backend *discard_new(void)
{
	static char name[] = "nowhere";
	struct discard *discard = calloc(1, sizeof(*discard));

	if (!discard)
		abort();
	discard->base.ops = &discard_ops;
	discard->base.name = name;
	return &discard->base;
}

struct bench {
	unsigned data, parity, threads;
	uint64_t budget; /* bytes */
	uint64_t size;   /* bytes */
	const char *path;
};

static void check(int r, const struct error *err)
{
	if (r == 0)
		return;
	(void)fprintf(stderr, "bench_log_writer: %s\n",
		      r < 0 ? err->text : "volume full");
	exit(1);
}

static void append_all(struct log_writer *writer, const struct bench *bench)
{
	static uint8_t content[FRAME_SIZE_MAX], atoms[4][ATOM_SIZE_MAX];
	struct error err = { 0 };
	uint64_t offset;

	for (int i = 0; i < 4; i++) {
		check(random_bytes(content, sizeof(content), &err), &err);
		frame_store(content, sizeof(content), atoms[i]);
	}
	for (uint64_t done = 0; done < bench->size; done += ATOM_SIZE_MAX)
		check(log_append(writer,
				 ATOM(atoms[done / ATOM_SIZE_MAX % 4], ATOM_SIZE_MAX),
				 &offset, &err),
		      &err);
	check(log_write_record(writer, STRIPE_COMMIT, false, "{}", NULL, &err), &err);
}

static void report(const struct log_writer *writer, uint64_t duration)
{
	char payload_rate[SIZE_TEXT_MAX], written_rate[SIZE_TEXT_MAX];
	uint64_t payload, written;
	struct rusage usage;

	log_writer_totals(writer, &payload, &written);
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)printf("payload %s, written %s, %.2f s, CPU %ld.%02ld s, memory %ld MiB\n",
		     format_rate(payload, duration, payload_rate),
		     format_rate(written, duration, written_rate), (double)duration / 1e9,
		     usage.ru_utime.tv_sec + usage.ru_stime.tv_sec,
		     (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 10000 % 100,
		     usage.ru_maxrss >> 10);
}

static void run(const struct bench *bench)
{
	struct log_end end = { .previous_offset = RECORD_OFFSET_NONE };
	struct log_writer_options options = {
		.tiered = true,
		.data = bench->data,
		.parity = bench->parity,
		.spread = 1 << 20,
		.max_size = UINT64_MAX,
	};
	autoptr(backend) backend = NULL;
	autoptr(log_writer) writer = NULL;
	autoptr(budget) budget = NULL;
	autoptr(pool) pool = NULL;
	struct error err = { 0 };
	uint64_t start;

	check(pool_new(bench->threads, &pool, &err), &err);
	check(budget_new(bench->budget, &budget), &err);
	if (bench->path)
		check(backend_file_create(AT_FDCWD, bench->path, &backend, &err), &err);
	else
		backend = discard_new();
	options.budget = budget;
	options.pool = pool;
	start = clock_monotonic_ns();
	check(log_writer_new(backend, &end, &options, &writer, &err), &err);
	append_all(writer, bench);
	report(writer, clock_monotonic_ns() - start);
	log_writer_free(take_ptr(writer)); /* before what it borrows */
	backend_free(take_ptr(backend));
	pool_free(take_ptr(pool));
}

int main(int argc, char **argv)
{
	struct bench bench = { .data = 30, .parity = 3, .budget = 256 << 20 };
	int option;

	while ((option = getopt(argc, argv, "k:m:b:t:")) != -1) {
		unsigned value = (unsigned)strtoul(optarg ? optarg : "0", NULL, 10);

		if (option == 'k')
			bench.data = value;
		else if (option == 'm')
			bench.parity = value;
		else if (option == 't')
			bench.threads = value;
		else if (option == 'b')
			bench.budget = (uint64_t)value << 20;
		else
			return 2;
	}
	if (optind >= argc)
		return 2;
	bench.size = (uint64_t)strtoul(argv[optind], NULL, 10) << 30;
	bench.path = argv[optind + 1];
	run(&bench);
	return 0;
}
