/* SPDX-License-Identifier: MIT */
#pragma once
/* A whole volume in a real file, for tests that damage it and scrub it: it must be byte for byte
 * what it was meant to be again, wherever the maths allows that. Asserts with cmocka. One thread.
 */
#include "support/backend_watched.h"
#include "support/volume_image.h"

#include "volume/scrub.h"

#define PAGE ((size_t)PAGE_SIZE_BYTES)
#define SCRUBBED_FINDINGS_MAX 4096

/* Stripes of the image: a header, data of three shapes (the last one with gaps), and records in
 * between. */
enum { HEADER, WIDE, FIRST, NARROW, SPREAD, LAST, STRIPES };

struct scrubbed {
	struct image image;
	char path[32];
	int fd;
	struct watch watch;
	struct backend *backend;
	struct pool *pool;
	struct budget *budget;
	bool one_pass;
	struct scrub_report report;
	struct scrub_finding findings[SCRUBBED_FINDINGS_MAX];
	size_t finding_count;
	size_t stripe_count; /* told as done */
	unsigned margin;     /* the least that was told */
	uint64_t progress;
	uint64_t unwanted; /* stripe number that is left out; 0: none */
	size_t stop_at;    /* stripes; 0: never */
	char crash_at[64]; /* for a child: "name:n", where it is to be killed; or empty */
};

/* For cmocka; *state is the struct. */
int scrubbed_setup(void **state);
int scrubbed_teardown(void **state);

/* Make the file what the image says. */
void publish(struct scrubbed *f);

/* What scrub_volume() returned; the rest is in @f. */
int scrub(struct scrubbed *f, bool repair);

const struct stripe_info *info_of(const struct scrubbed *f, unsigned stripe);
uint64_t leaf_of(const struct scrubbed *f, unsigned stripe, unsigned extent,
		 unsigned row); /* where it lies */

/* Damage. */
void noise(struct scrubbed *f, uint64_t offset, size_t size);
void erase_whole(struct scrubbed *f, unsigned stripe, unsigned extent);

/* The bytes of the file now; the caller frees them. */
uint8_t *look(const struct scrubbed *f);
void expect_bytes(const struct scrubbed *f, const uint8_t *want);
void expect_healed(const struct scrubbed *f); /* it is what it was meant to be */

/* A check finds what the damage is and changes nothing; a repair heals it. */
void expect_repair(struct scrubbed *f);
