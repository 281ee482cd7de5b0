/* SPDX-License-Identifier: MIT */
/* Pages start on multiples of 4096 and say what they are, so a volume whose structure is
 * unknown can be searched without any context. Content may contain pages too (an archive
 * that archives a volume), even pages of this volume: that a page is valid does not make
 * the place where it was found its own.
 */
#include "volume/page_scan.h"

#include "base/error.h"
#include "volume/backend.h"
#include "volume/stripe_view.h"

#include <errno.h>
#include <stdlib.h>

#define WINDOW_SIZE (1u << 20) /* bytes; a multiple of LEAF_SIZE */

struct scan {
	struct stripe_view view; /* for reads alone */
	page_scan_visit *visit;
	void *context;
	uint8_t *window;
};

static void scan_done(struct scan *scan)
{
	free(scan->window);
}

/* Fill the window with @size bytes at @offset; zeroes where that is impossible. */
static int read_window(struct scan *scan, uint64_t offset, size_t size, struct error *err)
{
	size_t got = 0;
	int r;

	r = backend_read(scan->view.backend, offset, scan->window, size, &got, err);
	if (r == 0 && got == size)
		return 0;
	if (r < 0 && !is_medium_error(r))
		return r;
	for (size_t done = 0; done < size; done += LEAF_SIZE) {
		size_t part = size - done < LEAF_SIZE ? size - done : LEAF_SIZE;

		r = view_read(&scan->view, offset + done, scan->window + done,
			      (unsigned)(part / PAGE_SIZE_BYTES), NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int visit_page(struct scan *scan, uint64_t offset, size_t in_window)
{
	struct page page;
	int r = page_decode(scan->window + in_window, &page, NULL);

	if (r < 0 && r != -EPROTONOSUPPORT)
		return 0;
	return scan->visit(scan->context, offset + in_window, r < 0 ? NULL : &page, r);
}

static int visit_window(struct scan *scan, uint64_t offset, size_t size, bool down,
			struct error *err)
{
	int r = read_window(scan, offset, size, err);

	for (size_t i = 0; i < size && r == 0; i += PAGE_SIZE_BYTES)
		r = visit_page(scan, offset, down ? size - PAGE_SIZE_BYTES - i : i);
	return r;
}

static int page_scan(struct backend *backend, uint64_t start, uint64_t end, bool down,
		     page_scan_visit *visit, void *context, struct error *err)
{
	struct scan scan __attribute__((__cleanup__(scan_done))) = {
		.view = { .backend = backend },
		.visit = visit,
		.context = context,
		.window = malloc(WINDOW_SIZE),
	};
	int r = 0;

	if (!scan.window)
		return error_set_errno(err, -ENOMEM, "scan window");
	while (start < end && r == 0) {
		size_t size =
			end - start < WINDOW_SIZE ? (size_t)(end - start) : WINDOW_SIZE;

		r = visit_window(&scan, down ? end - size : start, size, down, err);
		if (down)
			end -= size;
		else
			start += size;
	}
	return r;
}

int page_scan_up(struct backend *backend, uint64_t start, uint64_t end,
		 page_scan_visit *visit, void *context, struct error *err)
{
	return page_scan(backend, start, end, false, visit, context, err);
}

int page_scan_down(struct backend *backend, uint64_t start, uint64_t end,
		   page_scan_visit *visit, void *context, struct error *err)
{
	return page_scan(backend, start, end, true, visit, context, err);
}

bool header_in_place(const struct page *page, uint64_t offset)
{
	const struct geometry *geometry = &page->header.geometry;
	unsigned shard = page->identity.shard;
	uint64_t extent = shard;
	uint64_t copy;

	if (page->kind != PAGE_HEADER || offset < page->identity.stripe_offset)
		return false;
	if (shard >= geometry->data)
		extent = page->header.data_count + shard - geometry->data;
	offset -= page->identity.stripe_offset;
	copy = geometry->stride +
	       (uint64_t)PAGE_SIZE_BYTES * geometry_parity_pages(geometry);
	return offset == extent * geometry->stride ||
	       (geometry->data == 1 && geometry->parity > 0 && shard == 0 &&
		offset == copy);
}
