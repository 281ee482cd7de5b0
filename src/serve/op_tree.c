/* SPDX-License-Identifier: MIT */
/* Entries of a folder, a page at a time. A page ends after `limit` entries, or when its text
 * is as large as what a connection may hold; there is at least one entry in it. */
#include "serve/op.h"

#include "base/error.h"
#include "base/text.h"
#include "catalog/listing.h"
#include "serve/answer.h"
#include "serve/http_target.h"
#include "serve/look_up.h"
#include "serve/parameter.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LIMIT_DEFAULT 1000u
#define LIMIT_MAX 10000u

struct page {
	struct text text;
	uint64_t count;
	uint64_t limit;
	bool full;
};

static bool is_full(const struct page *page)
{
	return page->count >= page->limit || page->text.size >= SERVER_BLOCK_SIZE;
}

static int append_row(struct request *request, struct page *page,
		      const struct version_row *row, struct error *err)
{
	if (text_append(&page->text, page->count ? ",\n" : "\n") < 0)
		return error_set(err, -ENOMEM, "no memory for an answer");
	page->count++;
	return look_up_line(request, row, &page->text, err);
}

/* The entries behind the name in *cursor, which becomes the last one that was written. */
static int append_rows(struct request *request, const struct found *found, uint64_t at,
		       struct page *page, struct bytes *cursor, struct error *err)
{
	const struct bytes only = look_up_only(request);
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	int r;

	r = request_take_catalog(request, err);
	if (r == 0)
		r = listing_children_after(request->catalog,
					   found->top ? 0 : found->row.node, at, true,
					   cursor, &listing, err);
	while (r == 0 && (r = listing_next(listing, &row, err)) == 0) {
		if (!look_up_shows(&only, &row))
			continue;
		if (is_full(page)) {
			page->full = true;
			break;
		}
		r = append_row(request, page, &row, err);
		free(cursor->data);
		*cursor = row.name;
		row.name = (struct bytes){ 0 };
	}
	version_row_done(&row);
	return r == CATALOG_END ? 0 : r;
}

static int end_page(struct page *page, const struct bytes *cursor)
{
	int r = text_append(&page->text, "\n]");

	if (r == 0 && page->full)
		r = text_append(&page->text, ",\"cursor\":\"");
	if (r == 0 && page->full)
		r = http_escape(&page->text, cursor->data, cursor->size);
	if (r == 0 && page->full)
		r = text_append(&page->text, "\"");
	return r < 0 ? r : text_append(&page->text, "}\n");
}

static int answer_page(struct request *request, const struct found *found, uint64_t at,
		       struct page *page, struct error *err)
{
	struct bytes cursor = { 0 };
	int r;

	r = parameter_cursor(request, &cursor, err);
	if (r == 0 && text_appendf(&page->text,
				   "{\"commit\":\"%" PRIu64 "\",\"entries\":[", at) < 0)
		r = error_set(err, -ENOMEM, "no memory for an answer");
	if (r == 0)
		r = append_rows(request, found, at, page, &cursor, err);
	if (r == 0 && end_page(page, &cursor) < 0)
		r = error_set(err, -ENOMEM, "no memory for an answer");
	free(cursor.data);
	return r < 0 ? r
		     : answer_text(request, 200, "application/json", &page->text, err);
}

int op_tree(struct request *request, struct error *err)
{
	autofound found = { 0 };
	struct page page = { 0 };
	uint64_t at;
	int r;

	r = parameter_path(request, "path", err);
	if (r == 0)
		r = parameter_number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX,
				     &page.limit, err);
	if (r == 0)
		r = parameter_commit(request, true, &at, err);
	if (r == 0)
		r = look_up(request, at, 0, true, &found, err);
	if (r == 0 && !found_is_folder(&found))
		r = error_set(err, -EINVAL, "this is no folder");
	if (r == 0)
		r = answer_page(request, &found, at, &page, err);
	text_done(&page.text);
	return r;
}
