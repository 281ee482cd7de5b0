/* SPDX-License-Identifier: MIT */
#pragma once
/* Looks at every 4 KiB of a part of a volume for valid pages, as one does who knows nothing
 * yet. Threads: one at a time per scan.
 */
#include "volume/page.h"

struct backend;
struct error;

/* Called for each valid page at byte @offset, or with @code -EPROTONOSUPPORT and @page NULL
 * for one of a newer version. Goes on while it returns 0. */
typedef int page_scan_visit(void *context, uint64_t offset, const struct page *page,
			    int code);

/* Visit the pages in [start, end), both multiples of 4096, upwards or downwards, reading in
 * windows of 1 MiB. What can't be read is passed over. Returns the first result of @visit
 * that is not 0, or 0, or an error. */
int page_scan_up(struct backend *backend, uint64_t start, uint64_t end,
		 page_scan_visit *visit, void *context, struct error *err);
int page_scan_down(struct backend *backend, uint64_t start, uint64_t end,
		   page_scan_visit *visit, void *context, struct error *err);

/* Whether a valid header page at byte @offset lies where it says that it belongs. The copy
 * of the data header that the first parity extent's page area is when k = 1 counts. */
bool header_in_place(const struct page *page, uint64_t offset);
