/* SPDX-License-Identifier: MIT */
#pragma once
/* Reading a volume from one end to the other: once, in large pieces, and without pushing out
 * of the page cache what others read again and again. Any thread.
 */
#include <stddef.h>
#include <stdint.h>

struct backend;
struct error;

#define BACKEND_SCAN_MAX (1u << 20) /* bytes of one backend_scan() */

/* As backend_read(), @size up to BACKEND_SCAN_MAX. What is in the page cache comes from
 * there; the rest comes from the medium and is not kept, if @offset, @size and @data are
 * multiples of 4096. */
int backend_scan(struct backend *backend, uint64_t offset, void *data, size_t size,
		 size_t *size_out, struct error *err);

/* The first offset, from @offset on, at which something else than a hole may be: @offset
 * itself if the backend knows of no holes, UINT64_MAX if nothing but a hole follows. */
uint64_t backend_next_data(struct backend *backend, uint64_t offset);
