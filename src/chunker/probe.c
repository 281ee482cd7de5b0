/* SPDX-License-Identifier: MIT */
/* Guessing from samples.
 *
 * A compressor gains from two things: bytes (or pairs of them) that are not equally likely,
 * and strings that repeat. Both are sampled.
 *
 *  1. Skew. Each of 32 stretches of the content gives a window of 256 bytes, at a place that
 *     is spread pseudo-randomly, so that no record size of the content resonates with it.
 *     The number of pairs of equal bytes in it is 127.5 +- 11.3 for random bytes. Text has
 *     ten times that. One window that stands out makes the content worth a try, so a stretch
 *     of 8 KiB of text in a frame of random bytes is not missed.
 *     All windows together are a sample of 8 KiB with 131,056 +- 361 pairs, which shows a
 *     skew that is too small for one window but everywhere, such as in base64 (6 bits).
 *     A gain of 1/64 takes about 17 % more pairs.
 *  2. Repeats. The 8 bytes at every 64th position are entered into a small table. Then 32
 *     runs of 64 consecutive positions are looked up: if a run lies in a copy of an earlier
 *     part, however far away and however shifted, one of its positions meets an entry.
 *     Whole keys are compared, so random bytes never hit.
 *
 * Content that is skewed by less than 1/64 and repeats nothing is what compressed, encrypted
 * and media files look like.
 */
#include "chunker/probe.h"

#include <assert.h>
#include <string.h>

enum {
	WINDOW_COUNT = 32,
	WINDOW_SIZE = 256, /* bytes */
	WINDOW_PAIRS_MAX =
		240, /* pairs of equal bytes: ten standard deviations above random */
	ANCHOR_STRIDE = 64, /* bytes */
	ANCHOR_COUNT_MAX = 256 * 1024 / ANCHOR_STRIDE,
	TABLE_BITS = 13, /* twice the anchors */
};

/* Pairs in all windows: random ones have 8192 * 8191 / 2 / 256. Plus a ninth. */
#define SAMPLE_PAIRS_MAX 145600u

/* Where sample @i starts that takes @length bytes: somewhere in the i-th stretch. */
static size_t sample_offset(size_t size, unsigned i, size_t length)
{
	size_t stretch = size / WINDOW_COUNT;
	size_t slack = stretch - length + 1;

	return i * stretch + (i * 0x9e3779b1u >> 8) % slack;
}

static bool is_skewed(const uint8_t *content, size_t size)
{
	uint32_t counts[256] = { 0 };
	uint32_t pairs = 0;

	for (unsigned w = 0; w < WINDOW_COUNT; w++) {
		const uint8_t *window = content + sample_offset(size, w, WINDOW_SIZE);
		uint8_t seen[256] = { 0 };
		uint32_t window_pairs = 0;

		for (unsigned i = 0; i < WINDOW_SIZE; i++)
			window_pairs += seen[window[i]]++;
		if (window_pairs > WINDOW_PAIRS_MAX)
			return true;
		for (unsigned b = 0; b < 256; b++)
			counts[b] += seen[b];
	}
	for (unsigned b = 0; b < 256; b++)
		pairs += counts[b] * (counts[b] - 1) / 2;
	return pairs > SAMPLE_PAIRS_MAX;
}

static uint64_t key_at(const uint8_t *content, size_t offset)
{
	uint64_t key;

	memcpy(&key, content + offset, sizeof(key));
	return key;
}

static unsigned slot_of(uint64_t key)
{
	return (unsigned)(key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - TABLE_BITS));
}

static bool has_repeats(const uint8_t *content, size_t size)
{
	uint16_t table[1 << TABLE_BITS] = { 0 }; /* number of an anchor + 1 */
	size_t anchor_count = (size - sizeof(uint64_t)) / ANCHOR_STRIDE;

	/* Backwards, so that of equal keys the first one stays. */
	for (size_t a = anchor_count; a-- > 0;)
		table[slot_of(key_at(content, a * ANCHOR_STRIDE))] = (uint16_t)(a + 1);

	for (unsigned run = 0; run < WINDOW_COUNT; run++) {
		size_t start = sample_offset(size, run, ANCHOR_STRIDE + sizeof(uint64_t));

		for (size_t p = start; p < start + ANCHOR_STRIDE; p++) {
			uint64_t key = key_at(content, p);
			size_t anchor = table[slot_of(key)];

			if (anchor > 0 && (anchor - 1) * ANCHOR_STRIDE != p &&
			    key_at(content, (anchor - 1) * ANCHOR_STRIDE) == key)
				return true;
		}
	}
	return false;
}

bool probe_compressible(const uint8_t *content, size_t size)
{
	assert(size <= (size_t)ANCHOR_COUNT_MAX * ANCHOR_STRIDE);

	return size < PROBE_SIZE_MIN || is_skewed(content, size) ||
	       has_repeats(content, size);
}
