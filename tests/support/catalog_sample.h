/* SPDX-License-Identifier: MIT */
#pragma once
/* Catalogs for tests: one in a folder of its own, and short ways to fill it and to look at
 * it. Whatever goes wrong in here fails the test.
 */
#include "catalog/listing.h"
#include "catalog/placement.h"

#include <stddef.h>
#include <stdint.h>

struct sample {
	char folder[64];
	char path[96]; /* of the catalog in it */
	struct catalog *catalog;
};

/* cmocka fixtures: *state is a struct sample with an empty, open catalog. */
int sample_setup(void **state);
int sample_teardown(void **state);

/* Close and open it again. */
void sample_reopen(struct sample *sample);

/* Run SQL on the file, past the catalog's code. */
void sample_sql(const struct sample *sample, const char *sql);

/* A manifest for @path ('/' joined) at one state: equal states have equal content, and other
 * attributes follow from it too. The line has no newline; the caller frees it. */
char *sample_line(const char *path, enum entry_type type, uint32_t version,
		  uint64_t content);

/* Put or end the version of a path in a commit. */
void sample_put(struct catalog *catalog, uint64_t sequence, const char *path,
		enum entry_type type, uint32_t version, uint64_t content);
void sample_end(struct catalog *catalog, uint64_t sequence, const char *path);

/* catalog_get_version() by path. */
int sample_get(struct catalog *catalog, const char *path, uint64_t at,
	       struct version_row *row_out);

void sample_commit(struct catalog *catalog, uint64_t sequence);

/* A volume known by number, and record @sequence of it, which has two stripes besides its
 * own, three segments, two pages, and one foreign segment in volume @foreign unless 0. */
void sample_uuid(unsigned number, struct uuid *uuid_out);
void sample_put_volume(struct catalog *catalog, unsigned number);
void sample_put_record(struct catalog *catalog, unsigned volume, uint64_t sequence,
		       unsigned foreign);
void sample_record(unsigned volume, uint64_t sequence, unsigned foreign,
		   struct record **record_out, struct stripe_info *own_out);

/* The whole dump; the caller frees it. */
char *sample_dump(struct catalog *catalog);
