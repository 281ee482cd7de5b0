/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume in a real file, for tests that damage it and have it healed by reading; what it
 * was meant to be is in the image. Asserts with cmocka. Threads: set up and checked by one;
 * any may read.
 */
#include "support/backend_watched.h"
#include "support/volume_image.h"

#include "volume/stripe_view.h"
#include "volume/write_back.h"

#include <pthread.h>

#define PAGE ((uint64_t)PAGE_SIZE_BYTES)
#define DAMAGED_EVENTS_MAX 4096

extern const struct image_shape damaged_shape; /* 4 blocks of zeroes begin each extent */

struct damaged {
	struct image image; /* one data stripe, listed by a record */
	char path[64];
	int fd; /* for damage, and to look at the file */
	struct watch watch;
	struct backend *backend;
	struct write_back *write_back;
	struct log_reader *reader; /* of @backend, with @write_back */
	pthread_mutex_t mutex;     /* guards the events */
	struct repair_event events[DAMAGED_EVENTS_MAX]; /* what observers were told */
	unsigned event_count;
	char crash_at[64]; /* "name:n", where a child is to be killed; or empty */
};

/* For cmocka; *state is the struct. */
int damaged_setup(void **state);
int damaged_teardown(void **state);

/* Open everything anew: nothing is cached afterwards, and no event known. */
void damaged_reopen(struct damaged *f, enum write_back_mode mode);

/* Make the file what the image says, forget the writes, and reopen. */
void damaged_publish(struct damaged *f);

/* More of them, for the same volume; the caller frees them. The observer is f->events. */
struct log_reader *damaged_open_reader(struct damaged *f, struct backend *backend,
				       struct write_back *write_back);
struct write_back *damaged_open_write_back(struct damaged *f, struct backend *backend,
					   enum write_back_mode mode);

/* Where table page @page, and the leaf of row @row, of @extent of the data stripe lie. */
uint64_t damaged_page(const struct damaged *f, unsigned extent, unsigned page);
uint64_t damaged_leaf(const struct damaged *f, unsigned extent, unsigned row);

/* Damage. */
void damaged_noise(struct damaged *f, uint64_t offset, size_t size);

/* The bytes of the file now; the caller frees them. */
uint8_t *damaged_look(const struct damaged *f, size_t *size_out);

unsigned damaged_events(const struct damaged *f, enum repair_outcome outcome);
uint64_t repaired_leaves(struct log_reader *reader);

/* Read all of the data stripe and compare. */
void expect_content(struct damaged *f, struct log_reader *reader);

void expect_file(const struct damaged *f, const uint8_t *want, size_t want_size);
void expect_healed(const struct damaged *f); /* it is what it was meant to be */
