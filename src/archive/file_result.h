/* SPDX-License-Identifier: MIT */
#pragma once
/* What becomes of a file that was read: its content is stored and its change is settled; or
 * it has changed, and is to be read again; or it can't be read, which is reported.
 *
 * Threads: one at a time, as the session.
 */
#include <stdbool.h>
#include <stdint.h>

struct batch_file;
struct commit_monitor;
struct commit_session;
struct content_store;
struct error;
struct large_file;
struct piece;
struct reading;

struct file_results {
	struct commit_monitor *monitor; /* borrowed, like all but `again` */
	struct commit_session *session;
	struct content_store *store;
	uint32_t frame_size;   /* bytes */
	struct reading *again; /* owned list: files that changed while they were read */
};

/* A file of a batch, with @data its content if it could be read. */
int file_result_small(struct file_results *results, struct batch_file *file,
		      const uint8_t *data, struct error *err);

/* The file of @piece, its last one, which was read and, unless the whole file goes into a
 * pack, written. */
int file_result_large(struct file_results *results, struct piece *piece,
		      struct error *err);

/* Whether the file, of which all has been asked for, goes into a pack. */
bool file_result_is_packed(const struct large_file *file);

/* It could not be read, for the reason @r and @err; @reading is taken over. */
void file_result_failed(struct file_results *results, struct reading *reading, int r,
			const struct error *err);
