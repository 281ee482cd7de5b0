/* SPDX-License-Identifier: MIT */
#pragma once
/* Page p of a stripe's data extents is a codeword, its parity in the parity extents' page
 * areas (docs/format.md 2.3). Threads: as the view.
 */
#include "volume/page.h"

struct error;
struct stripe_view;

/* Whether @bytes are page @number of @extent: whole, and in identity, kind and sizes what
 * the view's stripe says. Fills *page_out, which is undefined if not. */
bool page_expected(const struct stripe_view *view, unsigned extent, unsigned number,
		   const uint8_t *bytes, struct page *page_out);

/* Write table page @number of @extent, as the @entries of the extent's whole table make it,
 * to the 4096 bytes of @out. */
void page_make_table(const struct stripe_view *view, unsigned extent, unsigned number,
		     const struct leaf_entry *entries, uint8_t *out);

/* Rebuild page @number of data extent @extent from its row into the 4096 bytes of @out and
 * *page_out. -EBADMSG if too little of the row is left. */
int page_row_repair(struct stripe_view *view, unsigned extent, unsigned number,
		    uint8_t *out, struct page *page_out, struct error *err);
