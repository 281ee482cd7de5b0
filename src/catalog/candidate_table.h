/* SPDX-License-Identifier: MIT */
#pragma once
/* The files that a pass over a hot tier may make stubs (tier/pass.h), in the order in which it
 * wants them and in the order of their keys, however many there are: a database in a file that
 * is of no use to anybody afterwards.
 *
 * Threads: one at a time.
 */
#include "base/cleanup.h"
#include "catalog/catalog.h"

#include <stddef.h>
#include <stdint.h>

struct candidate_table;
struct error;

enum candidate_state {
	CANDIDATE_FOUND,
	CANDIDATE_COMMIT, /* to be committed, then made a stub */
	CANDIDATE_STUB,   /* the archive has it: to be made a stub */
	CANDIDATE_DONE,
};

struct candidate {
	const uint8_t
		*key; /* path below the tier's folder, components joined by zero bytes */
	size_t key_size;
	double rank;    /* the higher the sooner */
	uint64_t size;  /* bytes of content */
	uint64_t space; /* bytes that it occupies */
	uint64_t inode; /* of a file with several names; 0: it has one */
};

/* Replaces what is at @path. */
int candidate_table_new(const char *path, struct candidate_table **table_out,
			struct error *err);
/* Removes the file, too. NULL is a no-op. */
void candidate_table_free(struct candidate_table *table);
DEFINE_AUTOPTR(candidate_table);

/* 1: it is in; 0: another name of the same file is. */
int candidate_table_add(struct candidate_table *table, const struct candidate *candidate,
			struct error *err);

/* The next one in the state, behind the last one that this gave, from the highest rank on,
 * or from the lowest key. Borrowed until the next call. CATALOG_END: that was all, and the
 * next call begins again. */
int candidate_table_next_rank(struct candidate_table *table, enum candidate_state state,
			      struct candidate *candidate_out, struct error *err);
int candidate_table_next_key(struct candidate_table *table, enum candidate_state state,
			     struct candidate *candidate_out, struct error *err);

/* Begin again. */
void candidate_table_rewind(struct candidate_table *table);

/* The one with @candidate's key is in @state now. */
int candidate_table_set(struct candidate_table *table, const struct candidate *candidate,
			enum candidate_state state, struct error *err);
/* All that are in state @from are in state @to now. */
int candidate_table_move(struct candidate_table *table, enum candidate_state from,
			 enum candidate_state to, struct error *err);
