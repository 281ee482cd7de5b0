/* SPDX-License-Identifier: MIT */
/* The usable shards are listed by trust, zeroes first, and combinations of k of them are
 * tried in lexicographic order of their place in that list. So the first attempt uses the
 * best k, the next ones exchange the least trusted, and only late ones leave out a shard
 * that agreed with its CRC. The number of attempts is bounded, because damage could
 * otherwise buy itself any amount of time: C(33, 30) is 5,456, C(216, 200) has 23 digits.
 */
#include "volume/codeword.h"

#include "base/error.h"
#include "chunker/parity.h"

#include <errno.h>
#include <string.h>

#define ATTEMPTS_MAX 512

/* Shards that may take part, best first, and the k places that this attempt uses. */
struct selection {
	unsigned shards[CODEWORD_SHARDS_MAX];
	unsigned count;
	unsigned places[CODEWORD_SHARDS_MAX];
	unsigned used; /* k */
};

void codeword_init(struct codeword *word, const struct parity *code, size_t size)
{
	memset(word, 0, sizeof(*word));
	word->code = code;
	word->size = size;
}

static void list_shards(const struct codeword *word, unsigned wanted,
			struct selection *list)
{
	unsigned total = parity_data_count(word->code) + parity_parity_count(word->code);

	list->count = 0;
	for (int trust = SHARD_ZERO; trust > SHARD_ERASED; trust--)
		for (unsigned i = 0; i < total; i++)
			if (i != wanted && (int)word->trust[i] == trust)
				list->shards[list->count++] = i;
}

static bool next_combination(struct selection *list)
{
	unsigned i = list->used;

	while (i > 0 && list->places[i - 1] == list->count - list->used + i - 1)
		i--;
	if (i == 0)
		return false;

	list->places[i - 1]++;
	for (; i < list->used; i++)
		list->places[i] = list->places[i - 1] + 1;
	return true;
}

static int decode(const struct codeword *word, const struct selection *list,
		  unsigned wanted, uint8_t *out, struct error *err)
{
	const uint8_t *bytes[CODEWORD_SHARDS_MAX] = { NULL };
	bool zero[CODEWORD_SHARDS_MAX] = { false };
	uint8_t *outs[1] = { out };

	for (unsigned i = 0; i < list->used; i++) {
		unsigned shard = list->shards[list->places[i]];

		if (word->trust[shard] == SHARD_ZERO)
			zero[shard] = true;
		else
			bytes[shard] = word->bytes[shard];
	}
	return parity_decode(word->code, bytes, zero, word->size, &wanted, 1, outs, err);
}

int codeword_solve(const struct codeword *word, unsigned wanted, uint8_t *out,
		   bool (*accept)(void *context, const uint8_t *bytes), void *context,
		   struct error *err)
{
	struct selection list = { .used = parity_data_count(word->code) };

	list_shards(word, wanted, &list);
	if (list.count < list.used)
		return error_set(err, -EBADMSG, "%u of %u shards needed are left",
				 list.count, list.used);

	for (unsigned i = 0; i < list.used; i++)
		list.places[i] = i;
	for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		int r = decode(word, &list, wanted, out, err);

		if (r < 0)
			return r;
		if (accept(context, out))
			return 0;
		if (!next_combination(&list))
			break;
	}
	return error_set(err, -EBADMSG,
			 "no combination of the shards left gives what it must");
}
