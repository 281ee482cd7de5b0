/* SPDX-License-Identifier: MIT */
#pragma once
/* The source (archive/source.h) of an archive that a server has: objects over HTTP. Pages and
 * segment tables are proved before they are handed out; frames are proved by the reader,
 * who asks once again for one that is wrong.
 *
 * Internally locked: any thread. Calls wait for the server.
 */
#include <stdint.h>

struct budget;
struct disk_cache;
struct error;
struct http;
struct source;

/* @http and @disk (NULL: none) are borrowed, and @budget, from which memory for pages and
 * tables is taken: -ENOMEM. The caller frees *source_out with source_free(). */
int source_remote_new(struct http *http, struct disk_cache *disk, struct budget *budget,
		      struct source **source_out, struct error *err);
