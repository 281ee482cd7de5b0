/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume in memory, for tests: its bytes can be looked at and damaged, and its calls can
 * be made to fail. Threads: as volume/backend.h; the functions below while nobody appends.
 */
#include "volume/backend.h"

/* An empty volume. The caller frees it with backend_free(). 0 or -ENOMEM. */
int backend_memory_new(struct backend **backend_out);

/* The bytes, borrowed until the next append; they may be changed. */
uint8_t *backend_memory_data(struct backend *backend);
size_t backend_memory_size(struct backend *backend);

/* Replace everything by a copy of @size bytes (the position is rounded up to 4096). */
int backend_memory_set(struct backend *backend, const void *data, size_t size);

/* Bytes that were there at the last sync, and calls of append, skip, sync and seal so far. */
uint64_t backend_memory_synced(struct backend *backend);
unsigned backend_memory_calls(struct backend *backend);

/* Let call number @call (from 1, counted as above) and all that follow fail with @code < 0;
 * 0 lets them succeed again. */
void backend_memory_fail_at(struct backend *backend, unsigned call, int code);

/* How often backend_expect() was called, and what was expected last. */
unsigned backend_memory_expected(struct backend *backend, uint64_t *offset_out,
				 uint64_t *size_out);

/* What backend_capacity() says, and beyond which appends give -ENOSPC. */
void backend_memory_set_capacity(struct backend *backend, uint64_t capacity);

/* Let reads that touch [offset, offset + size) fail with -EIO; size 0 ends that. */
void backend_memory_set_unreadable(struct backend *backend, uint64_t offset,
				   uint64_t size);
