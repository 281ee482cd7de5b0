/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume that is being filled: made with its header record, or opened again where its log
 * goes on; sealed when it is full. Every record goes to the catalog, into the transaction
 * that the caller has open. One thread at a time.
 */
#include "base/cleanup.h"
#include "catalog/placement.h"
#include "volume/log_writer.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct config;
struct error;
struct places;
struct volume_row;

/* What writing to any volume of an archive takes. All borrowed. */
struct volume_writing {
	const struct places *places;
	struct hash archive_id;
	const struct config *config; /* [volume] max_size, [parity] spread */
	struct budget *budget;
	struct pool *pool;
	struct catalog *catalog; /* in a transaction */
	bool tiered;
	unsigned data;         /* k */
	unsigned parity;       /* m */
	enum volume_role role; /* of the volumes; those of parity have no checkpoint */
	unsigned lanes;        /* volumes that are written to at the same time */
};

struct active_volume {
	struct volume_writing writing;
	struct uuid uuid;
	uint64_t number; /* in the set, from 1 */
	char *label;     /* owned */
	char *file;      /* owned; its path (archive/places.h) */
	bool begun;      /* its opening checkpoint is complete; set by who writes that */
	struct hash last_head; /* whose tree is on it; zero: none that is known */
	bool fresh; /* nothing was appended behind that; cleared by who appends */
	struct backend *backend;
	struct log_writer *writer;
};

/* Whether a new volume of [volume] max_size can hold any segment; if not, -EINVAL, and the
 * text says what to change. */
int volume_writing_check(const struct volume_writing *writing, struct error *err);

/* The same of a volume that is open, and @size bytes that did not fit into it: always -EFBIG. */
int active_volume_too_small(const struct active_volume *active, uint64_t size,
			    struct error *err);

/* What a new volume is to be. */
struct volume_plan {
	size_t place;    /* in writing->places */
	uint64_t number; /* in the set */
	const char *label;
	const struct hash *head; /* hash of the last head, or NULL */
};

/* Make a new volume file with a header record, whose roster is all that the catalog knows.
 * Durable on return; after a failure nothing is left of it, nor in the catalog. */
int active_volume_create(const struct volume_writing *writing,
			 const struct volume_plan *plan,
			 struct active_volume **active_out, struct error *err);

/* Open the volume @row, whose file is @file, where it ends. -ESTALE if its last record is
 * not the one that the catalog knows. Parity that this record lacks is made up for. */
int active_volume_open(const struct volume_writing *writing, const struct volume_row *row,
		       const char *file, struct active_volume **active_out,
		       struct error *err);

/* Write what is pending and the end record, and protect the file. Nothing more may be
 * appended. */
int active_volume_seal(struct active_volume *active, struct error *err);

/* Do what the writer of @file, which is the volume @row, was killed before: complete the
 * last record's parity, and protect the file if that is an end record. Mostly there is
 * nothing to do, and a look at the file's size says so; a volume that can't be read any
 * more is left alone. */
int active_volume_finish(const struct volume_writing *writing,
			 const struct volume_row *row, const char *file,
			 struct error *err);

/* Stop; what no record lists stays behind as a tail. NULL is a no-op. */
void active_volume_free(struct active_volume *active);
DEFINE_AUTOPTR(active_volume);
