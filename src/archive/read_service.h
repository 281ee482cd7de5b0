/* SPDX-License-Identifier: MIT */
#pragma once
/* What serving reads to many threads needs, made once for a mount: the cache of decoded
 * frames, the readers, and the workers that read ahead. Files are opened on it with
 * archive/open_file.h.
 *
 * Threads: internally locked. No volume can take everything: a volume that does not answer
 * holds up those who read from it, while reads of any other volume find a reader at once
 * (read_service.c has the rule). The caller's own threads are the caller's to bound: each
 * read keeps the thread that asks for it.
 */
#include "base/cleanup.h"

#include <stdint.h>

struct archive;
struct budget;
struct error;
struct read_ahead;
struct read_service;
struct reader_pool;
struct source;

struct read_service_options {
	struct source *source; /* borrowed: archive_source() */
	struct budget *budget; /* borrowed: archive_budget() */
	unsigned readers; /* reads of one volume that are worked on at a time, at least 1;
			   * more wait: twice config_jobs() is enough to keep all cores
			   * and the medium busy. Each takes 2.3 MiB of the budget when it
			   * is needed first; what the budget does not have, waits. */
	unsigned
		workers; /* threads that read ahead, of which each takes as much; 0: none */
	uint64_t cache_size; /* bytes of decoded frames to keep, at most:
			      * config_cache_bytes(). It takes them from the budget as
			      * it grows, and gives them back when others need them. */
};

struct read_counters {
	uint64_t hits;         /* frames that were in the cache, or being decoded */
	uint64_t misses;       /* frames that were decoded for a read */
	uint64_t ahead;        /* frames that were decoded ahead of one */
	uint64_t partial;      /* frames decoded no further than was asked */
	uint64_t stored_bytes; /* served from stored frames, without decoding */
	uint64_t cached_bytes; /* in the cache now */
};

/* -ENOMEM: the budget has no room for one reader (the text says what to raise). The caller
 * frees *service_out after all its files. */
int read_service_new(const struct read_service_options *options,
		     struct read_service **service_out, struct error *err);

/* One of the size that suits the archive, which it borrows: its configuration, and how far
 * away it is. */
int read_service_open(struct archive *archive, struct read_service **service_out,
		      struct error *err);

/* Waits for reading ahead to end. NULL is a no-op. */
void read_service_free(struct read_service *service);
DEFINE_AUTOPTR(read_service);

/* The parts, for archive/open_file.c; borrowed. read_service_ahead() may be NULL. */
struct read_ahead *read_service_ahead(struct read_service *service);
struct reader_pool *read_service_readers(struct read_service *service);
struct source *read_service_source(struct read_service *service);

void read_service_counters(struct read_service *service,
			   struct read_counters *counters_out);
