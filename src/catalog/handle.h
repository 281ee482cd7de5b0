/* SPDX-License-Identifier: MIT */
#pragma once
/* What is behind struct catalog, for this folder only. */
#include "catalog/catalog.h"
#include "catalog/statement.h"
#include "merkle/key.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog_filler;
struct sqlite3;

struct catalog {
	struct sqlite3 *db;
	struct hash archive_id;
	uint32_t generation; /* see catalog/entry.h */
	struct statement_cache statements;
	int read_only; /* why nothing can be written; 0: it can */

	struct catalog_filler *filler; /* borrowed, or NULL (catalog/filler.h) */

	bool writing;        /* between begin and commit or rollback */
	int64_t next_node;   /* while writing: id for the next new node */
	int64_t stored_node; /* what the file has for it */
	int64_t folder;      /* while writing: node of the folder used last; 0: none */
	size_t folder_size;  /* bytes of its key */
	uint8_t folder_key[MANIFEST_KEY_MAX];
};

/* Report that something in the file is not what was written. Returns -EBADMSG. */
int catalog_damaged(struct error *err, const char *what);

/* Give writes a transaction of their own if there is none: *own_out says which it is, and
 * catalog_leave() commits it, or rolls it back if @r is negative. Returns @r or worse. */
int catalog_enter(struct catalog *catalog, bool *own_out, struct error *err);
int catalog_leave(struct catalog *catalog, bool own, int r, struct error *err);
