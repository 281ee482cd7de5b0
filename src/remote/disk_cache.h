/* SPDX-License-Identifier: MIT */
#pragma once
/* What was got from servers, kept in a folder: bounded, and for as long as it is used. Entries
 * are found by name and checked when they are read; what is damaged, half written or gone is
 * not there. Any number of processes may share a folder.
 *
 * Internally locked: any thread.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stdint.h>

struct disk_cache;
struct error;

/* In @directory, which is made if missing, with at most about @size_max bytes on
 * disk. */
int disk_cache_open(const char *directory, uint64_t size_max,
		    struct disk_cache **cache_out, struct error *err);
void disk_cache_free(struct disk_cache *cache);
DEFINE_AUTOPTR(disk_cache);

/* Read the entry @name. -ENOENT; the caller frees *data_out. */
int disk_cache_get(struct disk_cache *cache, const struct hash *name, size_t size_max,
		   uint8_t **data_out, size_t *size_out);
/* Keep it. Failing to is nobody's concern. */
void disk_cache_put(struct disk_cache *cache, const struct hash *name,
		    const uint8_t *data, size_t size);
void disk_cache_drop(struct disk_cache *cache, const struct hash *name);
