/* SPDX-License-Identifier: MIT */
#pragma once
/* One file's content under examination: which of its bytes can't be read. One thread at a
 * time for each probe.
 */
#include "archive/health_files.h"

struct content;
struct error;
struct reader;

/* Try to read [@offset, @offset + @size) frame by frame, and add what can't be read to
 * file->lost. 0 also then; -EINTR, -ENOMEDIUM: it lies on a volume that is not attached. */
int health_probe(const struct health_files_options *options,
		 const struct content *content, struct reader *reader, uint64_t offset,
		 uint64_t size, struct health_file *file, struct error *err);

/* Add a range to file->lost, joined with the last one if they touch. -ENOMEM. */
int health_file_add_lost(struct health_file *file, uint64_t offset, uint64_t size);

/* Put *file, which is taken over, on the list, counting it. */
int health_files_add(struct health_files *files, struct health_file *file);
void health_file_done(struct health_file *file);
