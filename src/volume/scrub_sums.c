/* SPDX-License-Identifier: MIT */
/* With parity p(i) = sum over all data of c(i, j) * d(j), what the sound data leaves add up to,
 * taken from p(i), is what the bad ones add up to: the syndrome. So a row can be solved from m
 * leaves of memory, whatever k is, and the leaves may come in any order: as the medium has them.
 * (To add and to take away are the same here: XOR.)
 *
 * To a decoder, a row from which all sound data was taken is one whose sound data is zero.
 *
 * A sound stripe should not pay for that, and hashing a leaf is no dearer than adding it up. So
 * rows are closed until a bad leaf is met in them; from then on their sums are gathered, and
 * only what came before is read again. Where going back is dear (--one-pass) rows are open from
 * the start: a stripe of 32 MiB extents takes 96 MiB of sums then.
 */
#include "volume/scrub_sums.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "volume/scrub_stripe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCKS 16u /* rows that are added to at once seldom share one */

struct row_sums {
	struct scrub_stripe *stripe;
	struct mutex mutexes[LOCKS]; /* number row % LOCKS guards the row */
	struct row_sum *rows;
	unsigned count;
	unsigned left; /* rows that may still be opened; atomic */
	bool all;      /* are opened by their first leaf */
};

static size_t sum_size(const struct scrub_stripe *stripe)
{
	return (size_t)stripe->view.info->geometry.parity * LEAF_SIZE;
}

int row_sums_new(struct scrub_stripe *stripe, struct row_sums **sums_out,
		 struct error *err)
{
	const struct scrub_options *options = stripe->scrub->options;
	struct row_sums *sums = calloc(1, sizeof(*sums));
	size_t size = sum_size(stripe);
	uint64_t left;

	if (!sums)
		return error_set_errno(err, -ENOMEM, "sums of rows");
	sums->stripe = stripe;
	sums->count = geometry_leaves(&stripe->view.info->geometry);
	sums->rows = calloc(sums->count, sizeof(*sums->rows));
	if (!sums->rows) {
		free(sums);
		return error_set_errno(err, -ENOMEM, "sums of rows");
	}
	left = size ? budget_available(options->budget) / 2 / size : 0;
	sums->left = left < sums->count ? (unsigned)left : sums->count;
	sums->all = options->one_pass;
	for (unsigned i = 0; i < LOCKS; i++)
		mutex_init(&sums->mutexes[i]);
	*sums_out = sums;
	return 0;
}

void row_sums_free(struct row_sums *sums)
{
	if (!sums)
		return;
	for (unsigned i = 0; i < sums->count; i++) {
		if (!sums->rows[i].bytes)
			continue;
		free(sums->rows[i].bytes);
		budget_release(sums->stripe->scrub->options->budget,
			       sum_size(sums->stripe));
	}
	for (unsigned i = 0; i < LOCKS; i++)
		mutex_done(&sums->mutexes[i]);
	free(sums->rows);
	free(sums);
}

/* Whether one more row may be opened. */
static bool take_one(struct row_sums *sums)
{
	unsigned left = __atomic_load_n(&sums->left, __ATOMIC_RELAXED);

	while (left > 0)
		if (__atomic_compare_exchange_n(&sums->left, &left, left - 1, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* The row's lock is held. */
static void open_row(struct row_sums *sums, struct row_sum *sum)
{
	struct budget *budget = sums->stripe->scrub->options->budget;
	size_t size = sum_size(sums->stripe);

	if (sum->bytes || !take_one(sums) ||
	    budget_reserve(budget, size, "sums of rows", NULL) < 0)
		return;
	sum->bytes = calloc(1, size);
	if (!sum->bytes)
		budget_release(budget, size);
}

void row_sums_open(struct row_sums *sums, unsigned row)
{
	mutex_scope(&sums->mutexes[row % LOCKS]);
	open_row(sums, &sums->rows[row]);
}

void row_sums_offer(struct row_sums *sums, unsigned extent, unsigned row,
		    const uint8_t *leaf)
{
	struct row_sum *sum = &sums->rows[row];

	mutex_scope(&sums->mutexes[row % LOCKS]);
	if (sums->all)
		open_row(sums, sum);
	if (sum->bytes)
		row_sum_add(sums->stripe, sum, extent, row, leaf);
}

struct row_sum *row_sums_take(struct row_sums *sums, unsigned row)
{
	return &sums->rows[row];
}

/* ---- one row ---- */

static void add_bytes(uint8_t *to, const uint8_t *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] ^= from[i];
}

bool row_sum_has(const struct row_sum *sum, unsigned extent)
{
	return sum->extents[extent / 64] >> extent % 64 & 1;
}

void row_sum_add(const struct scrub_stripe *stripe, struct row_sum *sum, unsigned extent,
		 unsigned row, const uint8_t *leaf)
{
	const struct stripe_info *info = stripe->view.info;
	unsigned shard = extent_shard(info, extent);
	uint32_t size = row_size(info, extent, row);
	uint8_t *sums[PARITY_MAX_PARITY];

	for (unsigned i = 0; i < info->geometry.parity; i++)
		sums[i] = sum->bytes + (size_t)i * LEAF_SIZE;
	if (extent_is_parity(info, extent))
		add_bytes(sums[shard - info->geometry.data], leaf, size);
	else
		parity_update(stripe->code, shard, leaf, size, sums);
	sum->extents[extent / 64] |= UINT64_C(1) << extent % 64;
}

/* Whether nothing of data shard @shard is missing from the sums: it was added, or is zero. */
static bool is_added(const struct scrub_stripe *stripe, const struct row_sum *sum,
		     unsigned row, unsigned shard)
{
	unsigned extent;

	return !shard_extent(stripe->view.info, shard, &extent) ||
	       row_size(stripe->view.info, extent, row) == 0 || row_sum_has(sum, extent);
}

bool row_sum_solve(const struct scrub_stripe *stripe, const struct row_sum *sum,
		   unsigned row, const unsigned *wanted, unsigned count,
		   uint8_t *const *outs)
{
	const struct stripe_info *info = stripe->view.info;
	const struct geometry *geometry = &info->geometry;
	uint32_t size =
		row_size(info, info->data_count, row); /* parity's is the longest */
	const uint8_t *shards[CODEWORD_SHARDS_MAX] = { NULL };
	bool zero[CODEWORD_SHARDS_MAX] = { false };

	for (unsigned i = 0; i < geometry->data; i++)
		zero[i] = is_added(stripe, sum, row, i);
	for (unsigned i = 0; i < geometry->parity; i++)
		if (row_sum_has(sum, info->data_count + i))
			shards[geometry->data + i] = sum->bytes + (size_t)i * LEAF_SIZE;
	if (parity_decode(stripe->code, shards, zero, size, wanted, count, outs, NULL) <
	    0)
		return false;
	/* Of parity that is the part that the bad data has in it; the sum is the rest. */
	for (unsigned i = 0; i < count; i++)
		if (wanted[i] >= geometry->data)
			add_bytes(outs[i],
				  sum->bytes + (size_t)(wanted[i] - geometry->data) *
						       LEAF_SIZE,
				  size);
	return true;
}
