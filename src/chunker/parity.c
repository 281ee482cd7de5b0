/* SPDX-License-Identifier: MIT */
/* Reed-Solomon on top of one ISA-L kernel.
 *
 * Everything that touches shard bytes is accumulate(): destination[r] ^= c[r] * source, for
 * up to 16 rows in one pass over the source. Encoding is that for each data shard. Decoding
 * first finds, with arithmetic on coefficients alone, how each wanted shard is a sum of
 * shards that are there, and then accumulates column by column.
 *
 * With e erased data shards, any e parity shards that are there give e equations
 *
 *     A * x = p + sum over known j of c(.,j) * d(j)        A = c restricted to the erased
 *
 * and A, a square part of a Cauchy matrix, always has an inverse. That is an inversion of at
 * most 16 x 16, where the textbook way (invert k x k) costs more than the bytes do when 4 KiB
 * columns are decoded one at a time. A wanted parity shard is the sum of data shards, with
 * the erased ones replaced by their solution.
 *
 * ISA-L wants lengths of at least 64 bytes and pointers that are not const. accumulate()
 * hides both: what is beyond a multiple of 64 goes through a small buffer, so no kernel ever
 * sees an odd tail. The 32-byte tables are opaque to us: other versions of the library lay
 * them out in another way, so they are made and used with the same call shapes only.
 *
 * Not handled here: finding errors. Shards are right or absent; hashes decide that.
 */
#include "chunker/parity.h"

#include "base/error.h"

#include <assert.h>
#include <isa-l.h>
#include <string.h>

#define KERNEL_SIZE ((size_t)64)     /* bytes: ISA-L is given multiples of it */
#define KERNEL_MAX ((size_t)1 << 30) /* bytes: ISA-L takes an int */
#define COLUMN_TABLE_SIZE (32 * PARITY_MAX_PARITY)
#define SHARD_MAX (PARITY_MAX_DATA + PARITY_MAX_PARITY)

struct parity {
	unsigned k;
	unsigned m;
	uint8_t matrix[PARITY_MAX_PARITY][PARITY_MAX_DATA]; /* c(i,j) */
	uint8_t tables[];                                   /* 32 * m bytes for each j */
};

/* How the erased shards follow from the others. */
struct solution {
	unsigned erased_count;              /* of data shards */
	unsigned erased[PARITY_MAX_PARITY]; /* their numbers */
	unsigned used
		[PARITY_MAX_PARITY]; /* rows i of the parity shards that replace them */
	/* Coefficient of every shard in erased shard number [.]; 0 for the erased. */
	uint8_t weights[PARITY_MAX_PARITY][SHARD_MAX];
};

/* The wanted shards that have to be computed. */
struct targets {
	unsigned count;
	unsigned shards[PARITY_MAX_PARITY];
	uint8_t *out[PARITY_MAX_PARITY];
};

static uint8_t *mutable(const uint8_t *p)
{
	return (uint8_t *)(uintptr_t)p;
}

/* destinations[r] ^= c[r] * source, where @table is ec_init_tables(1, rows, c). */
static void accumulate(const uint8_t *table, unsigned rows, const uint8_t *source,
		       size_t size, uint8_t *const *destinations)
{
	uint8_t source_tail[KERNEL_SIZE] = { 0 };
	uint8_t tails[PARITY_MAX_PARITY][KERNEL_SIZE];
	uint8_t *at[PARITY_MAX_PARITY];
	size_t done = 0;

	while (size - done >= KERNEL_SIZE) {
		size_t left = (size - done) & ~(KERNEL_SIZE - 1);
		size_t piece = left < KERNEL_MAX ? left : KERNEL_MAX;

		for (unsigned r = 0; r < rows; r++)
			at[r] = destinations[r] + done;
		ec_encode_data_update((int)piece, 1, (int)rows, 0, mutable(table),
				      mutable(source + done), at);
		done += piece;
	}
	if (done == size)
		return;

	memcpy(source_tail, source + done, size - done);
	for (unsigned r = 0; r < rows; r++) {
		memcpy(tails[r], destinations[r] + done, size - done);
		memset(tails[r] + (size - done), 0, KERNEL_SIZE - (size - done));
		at[r] = tails[r];
	}
	ec_encode_data_update((int)KERNEL_SIZE, 1, (int)rows, 0, mutable(table),
			      source_tail, at);
	for (unsigned r = 0; r < rows; r++)
		memcpy(destinations[r] + done, tails[r], size - done);
}

static const uint8_t *column_table(const struct parity *parity, unsigned j)
{
	return parity->tables + (size_t)j * 32 * parity->m;
}

int parity_new(unsigned k, unsigned m, struct parity **out, struct error *err)
{
	struct parity *parity;

	if (k < 1 || k > PARITY_MAX_DATA || m > PARITY_MAX_PARITY)
		return error_set(err, -EINVAL, "parity of %u data and %u parity shards",
				 k, m);

	parity = calloc(1, sizeof(*parity) + (size_t)k * 32 * m);
	if (!parity)
		return error_set(err, -ENOMEM, "parity tables");
	parity->k = k;
	parity->m = m;
	for (unsigned j = 0; j < k; j++) {
		uint8_t column[PARITY_MAX_PARITY];

		for (unsigned i = 0; i < m; i++) {
			column[i] = gf_inv((uint8_t)((k + i) ^ j));
			parity->matrix[i][j] = column[i];
		}
		if (m > 0)
			ec_init_tables(1, (int)m, column,
				       mutable(column_table(parity, j)));
	}

	*out = parity;
	return 0;
}

void parity_free(struct parity *parity)
{
	free(parity);
}

unsigned parity_data_count(const struct parity *parity)
{
	return parity->k;
}

unsigned parity_parity_count(const struct parity *parity)
{
	return parity->m;
}

uint8_t parity_coefficient(const struct parity *parity, unsigned i, unsigned j)
{
	assert(i < parity->m && j < parity->k);
	return parity->matrix[i][j];
}

void parity_update(const struct parity *parity, unsigned j, const uint8_t *data,
		   size_t size, uint8_t *const *accumulators)
{
	assert(j < parity->k && size > 0);
	if (parity->m > 0)
		accumulate(parity->tables + (size_t)j * 32 * parity->m, parity->m, data,
			   size, accumulators);
}

static bool is_known(const uint8_t *const *shards, const bool *zero, unsigned shard)
{
	return (zero && zero[shard]) || shards[shard];
}

/* Which data shards are erased, and which parity shards stand in for them. */
static int solution_choose(struct solution *solution, const struct parity *parity,
			   const uint8_t *const *shards, const bool *zero,
			   struct error *err)
{
	unsigned lost = 0, used = 0;

	for (unsigned s = 0; s < parity->k + parity->m; s++) {
		if (is_known(shards, zero, s))
			continue;
		if (++lost > parity->m)
			return error_set(err, -EBADMSG,
					 "more than %u of %u shards erased", parity->m,
					 parity->k + parity->m);
		if (s < parity->k)
			solution->erased[solution->erased_count++] = s;
	}
	for (unsigned i = 0; i < parity->m && used < solution->erased_count; i++) {
		if (is_known(shards, zero, parity->k + i))
			solution->used[used++] = i;
	}
	assert(used == solution->erased_count);
	return 0;
}

/* Fill in the weights, from what solution_choose() found. */
static void solution_solve(struct solution *solution, const struct parity *parity,
			   const uint8_t *const *shards, const bool *zero)
{
	uint8_t a[PARITY_MAX_PARITY * PARITY_MAX_PARITY];
	uint8_t inverse[PARITY_MAX_PARITY * PARITY_MAX_PARITY];
	unsigned e = solution->erased_count;
	int r;

	assert(e <= PARITY_MAX_PARITY);
	if (e == 0)
		return;
	for (unsigned row = 0; row < e; row++) {
		for (unsigned c = 0; c < e; c++)
			a[row * e + c] =
				parity->matrix[solution->used[row]][solution->erased[c]];
	}
	r = gf_invert_matrix(a, inverse, (int)e);
	assert(r == 0); /* every square part of a Cauchy matrix is regular */
	(void)r;

	for (unsigned c = 0; c < e; c++) {
		uint8_t *weights = solution->weights[c];

		for (unsigned row = 0; row < e; row++) {
			uint8_t factor = inverse[c * e + row];
			const uint8_t *equation = parity->matrix[solution->used[row]];

			weights[parity->k + solution->used[row]] = factor;
			for (unsigned j = 0; j < parity->k; j++) {
				if (is_known(shards, zero, j))
					weights[j] ^= gf_mul(factor, equation[j]);
			}
		}
	}
}

/* The coefficient of @source, a shard that is there, in the erased shard @target. */
static uint8_t target_weight(const struct solution *solution, const struct parity *parity,
			     unsigned target, unsigned source)
{
	uint8_t weight;

	if (target < parity->k) {
		unsigned c = 0;

		while (solution->erased[c] != target)
			c++;
		return solution->weights[c][source];
	}

	weight = source < parity->k ? parity->matrix[target - parity->k][source] : 0;
	for (unsigned c = 0; c < solution->erased_count; c++)
		weight ^= gf_mul(parity->matrix[target - parity->k][solution->erased[c]],
				 solution->weights[c][source]);
	return weight;
}

static void compute(const struct targets *targets, const struct solution *solution,
		    const struct parity *parity, const uint8_t *const *shards,
		    const bool *zero, size_t size)
{
	for (unsigned t = 0; t < targets->count; t++)
		memset(targets->out[t], 0, size);

	for (unsigned s = 0; s < parity->k + parity->m; s++) {
		uint8_t column[PARITY_MAX_PARITY];
		uint8_t table[COLUMN_TABLE_SIZE];
		bool used = false;

		if (!is_known(shards, zero, s) || (zero && zero[s]))
			continue;
		for (unsigned t = 0; t < targets->count; t++) {
			column[t] =
				target_weight(solution, parity, targets->shards[t], s);
			used |= column[t] != 0;
		}
		if (!used)
			continue;
		ec_init_tables(1, (int)targets->count, column, table);
		accumulate(table, targets->count, shards[s], size, targets->out);
	}
}

int parity_decode(const struct parity *parity, const uint8_t *const *shards,
		  const bool *zero, size_t size, const unsigned *wanted,
		  unsigned wanted_count, uint8_t *const *out, struct error *err)
{
	struct solution solution = { 0 };
	struct targets targets = { 0 };
	int r;

	assert(size > 0);
	r = solution_choose(&solution, parity, shards, zero, err);
	if (r < 0)
		return r;

	for (unsigned w = 0; w < wanted_count; w++) {
		unsigned shard = wanted[w];

		assert(shard < parity->k + parity->m);
		if (zero && zero[shard]) {
			memset(out[w], 0, size);
		} else if (shards[shard]) {
			memcpy(out[w], shards[shard], size);
		} else {
			assert(targets.count < PARITY_MAX_PARITY);
			targets.shards[targets.count] = shard;
			targets.out[targets.count++] = out[w];
		}
	}
	if (targets.count == 0)
		return 0;
	solution_solve(&solution, parity, shards, zero);
	compute(&targets, &solution, parity, shards, zero, size);
	return 0;
}
