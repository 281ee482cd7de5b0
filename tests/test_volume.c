/* SPDX-License-Identifier: MIT */
/* A volume from writer to reader: what one appends, the other gives back, after damage,
 * after crashes, and with nothing known but the bytes of the volume. */
#include "support/backend_memory.h"
#include "support/volume_image.h"

#include "base/budget.h"
#include "base/error.h"
#include "base/pool.h"
#include "chunker/skippable.h"
#include "volume/chain.h"
#include "volume/log_reader.h"
#include "volume/record_completion.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1u << 20)
#define ATOMS_MAX 1000

/* Atom number i is made from its seed, so that it needs no keeping. */
struct sample_atom {
	uint64_t seed;
	uint64_t log_offset;
	uint32_t size;
};

struct fixture {
	struct backend *backend;
	struct pool *pool;
	struct budget *budget;
	struct log_writer *writer;
	struct log_writer_options options;
	struct uuid volume;
	struct sample_atom atoms[ATOMS_MAX];
	size_t atom_count;
	uint64_t seed;
	struct stripe_info *stripes; /* what the records list; owned */
	size_t stripe_count;
	uint64_t last_offset; /* of the newest record met */
	uint8_t scratch[ATOM_SIZE_MAX], again[ATOM_SIZE_MAX];
};

static struct fixture *setup(unsigned data, unsigned parity, bool tiered)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(backend_memory_new(&f->backend), 0);
	assert_int_equal(pool_new(2, &f->pool, NULL), 0);
	assert_int_equal(budget_new(256 * MIB, &f->budget), 0);
	memset(&f->volume, 0x77, sizeof(f->volume));
	f->options = (struct log_writer_options){
		.tiered = tiered,
		.data = data,
		.parity = parity,
		.max_size = UINT64_MAX,
		.budget = f->budget,
		.pool = f->pool,
	};
	return f;
}

static void forget_stripes(struct fixture *f)
{
	for (size_t i = 0; i < f->stripe_count; i++)
		stripe_info_done(&f->stripes[i]);
	free(f->stripes);
	f->stripes = NULL;
	f->stripe_count = 0;
}

static void teardown(struct fixture *f)
{
	log_writer_free(f->writer);
	forget_stripes(f);
	pool_free(f->pool);
	budget_free(f->budget);
	backend_free(f->backend);
	free(f);
}

static void make_atom(const struct sample_atom *atom, uint8_t *out)
{
	skippable_put(out, SKIPPABLE_TREE_PAGE, atom->size - SKIPPABLE_HEADER_SIZE);
	fill_random(out + SKIPPABLE_HEADER_SIZE, atom->size - SKIPPABLE_HEADER_SIZE,
		    atom->seed);
}

/* Begin a session where the volume's own records say that the log ends. */
static void start_session(struct fixture *f)
{
	struct log_end end = { .previous_offset = RECORD_OFFSET_NONE };
	struct error error = { 0 };

	end.volume = f->volume;
	if (backend_position(f->backend) > 0) {
		struct record *record;
		struct stripe_info own;

		if (chain_find_last(f->backend, &f->volume, &record, &own, &error) != 0)
			fail_msg("%s", error.text);
		if (record_complete(f->backend, f->budget, f->pool, record, &own, &error))
			fail_msg("%s", error.text);
		assert_int_equal(chain_end(record, &own, &end, NULL), 0);
		record_free(record);
		stripe_info_done(&own);
	}
	if (log_writer_new(f->backend, &end, &f->options, &f->writer, &error) != 0)
		fail_msg("%s", error.text);
	log_end_done(&end);
}

static void end_session(struct fixture *f)
{
	log_writer_free(f->writer);
	f->writer = NULL;
}

static void append(struct fixture *f, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct sample_atom *atom = &f->atoms[f->atom_count++];

		assert_true(f->atom_count <= ATOMS_MAX);
		f->seed = f->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		atom->seed = f->seed;
		atom->size = f->seed >> 60 ? ATOM_SIZE_MAX
					   : 8 + (uint32_t)((f->seed >> 40) % 5000);
		make_atom(atom, f->scratch);
		assert_int_equal(log_append(f->writer, ATOM(f->scratch, atom->size),
					    &atom->log_offset, NULL),
				 0);
	}
}

static void write_record(struct fixture *f, enum stripe_kind kind)
{
	struct error error = { 0 };

	if (log_write_record(f->writer, kind, false, NULL, NULL, &error) != 0)
		fail_msg("%s", error.text);
}

static void commit(struct fixture *f, size_t atoms)
{
	start_session(f);
	append(f, atoms);
	write_record(f, STRIPE_COMMIT);
	end_session(f);
}

/* ---- reading, from the records alone ---- */

static void add_stripe(struct fixture *f, const struct stripe_info *stripe)
{
	f->stripes =
		reallocarray(f->stripes, f->stripe_count + 1, sizeof(struct stripe_info));
	assert_non_null(f->stripes);
	assert_int_equal(stripe_info_copy(stripe, &f->stripes[f->stripe_count++]), 0);
}

/* A record's own stripe is listed by the next one; take it here and skip it there. */
static int learn(void *context, const struct record *record,
		 const struct stripe_info *own, struct error *err)
{
	struct fixture *f = context;

	(void)err;
	for (size_t i = 0; i < record->stripe_count; i++)
		if (record->stripes[i].offset != record->previous_offset)
			add_stripe(f, &record->stripes[i]);
	add_stripe(f, own);
	f->last_offset = own->offset;
	return 0;
}

static void learn_all(struct fixture *f)
{
	struct log_end end = { .previous_offset = RECORD_OFFSET_NONE };
	struct error error = { 0 };

	end.volume = f->volume;
	forget_stripes(f);
	if (chain_visit_after(f->backend, &end, NULL, learn, f, &error) != 0)
		fail_msg("%s", error.text);
}

static int find_stripe(void *context, uint64_t log_offset, struct stripe_info *stripe_out,
		       struct error *err)
{
	const struct fixture *f = context;

	for (size_t i = 0; i < f->stripe_count; i++)
		if (log_offset >= f->stripes[i].log_start &&
		    log_offset - f->stripes[i].log_start <
			    stripe_log_size(&f->stripes[i]))
			return stripe_info_copy(&f->stripes[i], stripe_out);
	return error_set(err, -ENOENT, "no stripe");
}

/* All atoms read back, in a process that knows the volume alone. */
static void expect_atoms(struct fixture *f)
{
	struct stripe_lookup lookup = { find_stripe, f };
	struct log_reader *reader;
	struct error error = { 0 };

	learn_all(f);
	assert_int_equal(
		log_reader_new(f->backend, &f->volume, &lookup, MIB, &reader, NULL), 0);
	for (size_t i = 0; i < f->atom_count; i++) {
		const struct sample_atom *atom = &f->atoms[i];

		if (log_read(reader, atom->log_offset, f->again, atom->size, NULL,
			     &error))
			fail_msg("atom %zu: %s", i, error.text);
		make_atom(atom, f->scratch);
		assert_memory_equal(f->again, f->scratch, atom->size);
	}
	log_reader_free(reader);
}

/* No two stripes share a byte, whatever happened between them. */
static void expect_no_overlap(struct fixture *f)
{
	uint64_t end = 0;

	learn_all(f);
	for (size_t i = 0; i < f->stripe_count; i++) {
		assert_true(f->stripes[i].offset >= end);
		end = f->stripes[i].offset + stripe_physical_size(&f->stripes[i]);
	}
}

static void what_is_written_reads_back_under_any_policy(void **state)
{
	static const struct {
		unsigned data, parity;
		bool tiered;
	} policies[] = {
		{ 4, 2, true }, { 4, 2, false }, { 30, 3, false }, { 3, 0, false }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct fixture *f =
			setup(policies[i].data, policies[i].parity, policies[i].tiered);

		commit(f, 0);
		commit(f, 20);
		commit(f, 150);
		commit(f, 1);
		expect_atoms(f);
		expect_no_overlap(f);
		teardown(f);
	}
}

static void damage_to_every_stripe_is_made_up_for(void **state)
{
	struct fixture *f = setup(6, 2, false);
	uint8_t *bytes;

	(void)state;
	for (int i = 0; i < 4; i++)
		commit(f, 60);
	expect_atoms(f);
	bytes = backend_memory_data(f->backend);
	for (size_t i = 0; i < f->stripe_count; i++) {
		const struct stripe_info *info = &f->stripes[i];
		size_t size = 2 * info->geometry.stride - LEAF_SIZE;
		unsigned start = (unsigned)i % (info->data_count + 1);

		fill_random(bytes + info->offset + start * info->geometry.stride,
			    start == info->data_count ? 40000 : size, i);
	}
	expect_atoms(f);
	teardown(f);
}

static void a_session_goes_on_behind_a_tail(void **state)
{
	struct fixture *f = setup(4, 2, true);

	(void)state;
	commit(f, 30);
	for (size_t tail = 1; tail <= 200; tail *= 14) {
		size_t committed = f->atom_count;

		start_session(f);
		append(f, tail);
		end_session(f); /* as a crash does: no record */
		f->atom_count = committed;
		commit(f, 10);
		expect_atoms(f);
	}
	expect_no_overlap(f);
	teardown(f);
}

/* Noise over extent number @index of the stripe, all of it. */
static void spoil_extent(struct fixture *f, const struct stripe_info *info,
			 unsigned index)
{
	uint8_t *bytes = backend_memory_data(f->backend) + info->offset +
			 index * info->geometry.stride;
	size_t left = info->offset + stripe_physical_size(info) -
		      (size_t)(bytes - backend_memory_data(f->backend));

	fill_random(bytes, left < info->geometry.stride ? left : info->geometry.stride,
		    index);
}

/* Extent @spared alone is enough for the record at @record. */
static void expect_protected(struct fixture *f, size_t record, unsigned spared)
{
	for (size_t i = 0; i < f->stripe_count; i++) {
		const struct stripe_info *info = &f->stripes[i];

		if (info->offset != record)
			continue;
		for (unsigned j = 0; j <= info->geometry.parity; j++)
			if (j != spared)
				spoil_extent(f, info, j);
	}
	expect_atoms(f);
}

static void a_record_cut_off_from_its_parity_gets_it_back(void **state)
{
	static const uint64_t spreads[] = { 0, MIB };

	(void)state;
	for (size_t i = 0; i < sizeof(spreads) / sizeof(*spreads); i++) {
		struct fixture *f = setup(4, 3, true);
		size_t size, record;
		uint8_t *bytes;

		f->options.spread = spreads[i];
		commit(f, 5);
		expect_atoms(f);
		record = (size_t)f->last_offset;
		size = backend_memory_size(f->backend);
		bytes = malloc(size);
		assert_non_null(bytes);
		memcpy(bytes, backend_memory_data(f->backend), size);

		/* From all of the parity to none is missing; then all extents but one are
		 * lost, whichever that is. */
		for (size_t cut = record + 16384; cut <= size; cut += 13 * 4096)
			for (unsigned spared = 0; spared < 4; spared++) {
				assert_int_equal(
					backend_memory_set(f->backend, bytes, cut), 0);
				start_session(f);
				end_session(f);
				assert_int_equal(backend_memory_synced(f->backend), size);
				assert_memory_equal(backend_memory_data(f->backend),
						    bytes, size);
				expect_atoms(f);
				expect_protected(f, record, spared);
			}
		free(bytes);
		teardown(f);
	}
}

static void a_volume_cut_anywhere_goes_on(void **state)
{
	struct fixture *f = setup(4, 2, true);
	size_t committed, size, record;
	uint8_t *bytes;

	(void)state;
	commit(f, 20);
	commit(f, 10);
	committed = f->atom_count;
	size = backend_memory_size(f->backend);
	bytes = malloc(size);
	assert_non_null(bytes);
	memcpy(bytes, backend_memory_data(f->backend), size);
	expect_atoms(f);
	record = (size_t)f->last_offset;

	/* The last record's stripe loses its end, up to all of its parity. */
	for (size_t cut = size; cut >= record + 16384; cut -= 61440) {
		assert_int_equal(backend_memory_set(f->backend, bytes, cut), 0);
		commit(f, 3);
		expect_atoms(f);
		expect_no_overlap(f);
		f->atom_count = committed;
	}
	free(bytes);
	teardown(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back_under_any_policy),
		cmocka_unit_test(damage_to_every_stripe_is_made_up_for),
		cmocka_unit_test(a_session_goes_on_behind_a_tail),
		cmocka_unit_test(a_record_cut_off_from_its_parity_gets_it_back),
		cmocka_unit_test(a_volume_cut_anywhere_goes_on),
	};

	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
