/* SPDX-License-Identifier: MIT */
#pragma once
/* Reed-Solomon erasure code over GF(2^8), k data shards and m parity shards.
 *
 * The field has the polynomial 0x11d (x^8 + x^4 + x^3 + x^2 + 1). The code is systematic
 * and its matrix is Cauchy: parity shard i (0 .. m-1) is the sum over all data shards j
 * (0 .. k-1) of c(i,j) * data[j], byte by byte, where
 *
 *     c(i,j) = 1 / ((k + i) XOR j)          (the inverse in the field)
 *
 * Any k of the k + m shards give all the others. A shard known to be all zero (an absent
 * extent of a short stripe, padding) takes part as an available shard without any bytes.
 * Shards are numbered 0 .. k-1 (data), then k .. k+m-1 (parity).
 *
 * Threads: immutable after parity_new(); any number of threads may share one.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct parity;

enum {
	PARITY_MAX_DATA = 200,  /* shards: the largest k */
	PARITY_MAX_PARITY = 16, /* shards: the largest m */
};

/* Make the code for 1 <= @k <= PARITY_MAX_DATA, 0 <= @m <= PARITY_MAX_PARITY.
 * The caller frees *@out with parity_free(). -EINVAL out of these ranges, -ENOMEM. */
int parity_new(unsigned k, unsigned m, struct parity **out, struct error *err);
void parity_free(struct parity *parity);
DEFINE_AUTOPTR(parity);

unsigned parity_data_count(const struct parity *parity);   /* k */
unsigned parity_parity_count(const struct parity *parity); /* m */

/* c(i,j) above, for @i < m and @j < k. */
uint8_t parity_coefficient(const struct parity *parity, unsigned i, unsigned j);

/* Add data shard @j: accumulators[i] ^= c(i,j) * data for all m rows. @size >= 1 bytes,
 * any alignment. The accumulators start as zeroes; shards may come in any order, and what
 * never comes counts as zero. Adding the same bytes twice takes them out again. */
void parity_update(const struct parity *parity, unsigned j, const uint8_t *data,
		   size_t size, uint8_t *const *accumulators);

/* Reconstruct shards. All arrays that are indexed by shard have k + m entries.
 *   @shards        bytes of each shard, NULL = erased
 *   @zero          NULL, or true where a shard is known to be all zero (pointer ignored)
 *   @size          bytes in each shard, >= 1
 *   @wanted, @out  numbers of the shards to make, data or parity, each once, and a buffer of
 *                  @size bytes for each; a buffer must not overlap a shard that is given
 * A wanted shard that is given is copied; to compute a parity shard anew, pass it as erased.
 * Allocates nothing; uses 5 KiB of stack.
 * -EBADMSG when more than m shards are erased; nothing is written then. */
int parity_decode(const struct parity *parity, const uint8_t *const *shards,
		  const bool *zero, size_t size, const unsigned *wanted,
		  unsigned wanted_count, uint8_t *const *out, struct error *err);
