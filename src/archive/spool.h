/* SPDX-License-Identifier: MIT */
#pragma once
/* A list of records too long for memory, in a temporary file without a name: written once in
 * order, then read forwards or backwards. One thread at a time.
 */
#include "base/cleanup.h"

#include <stddef.h>

struct error;
struct spool;

/* The file is made in $TMPDIR or /tmp when the first records do not fit the buffer. */
int spool_new(struct spool **spool_out, struct error *err);
void spool_free(struct spool *spool);
DEFINE_AUTOPTR(spool);

int spool_append(struct spool *spool, const void *data, size_t size, struct error *err);

/* Visit all records, oldest first, or newest first; stops at the first negative result. */
int spool_visit(struct spool *spool,
		int (*visit)(void *context, const void *data, size_t size,
			     struct error *err),
		void *context, struct error *err);
int spool_visit_back(struct spool *spool,
		     int (*visit)(void *context, const void *data, size_t size,
				  struct error *err),
		     void *context, struct error *err);
