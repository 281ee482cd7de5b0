/* SPDX-License-Identifier: MIT */
/* A page begins with what stands before the entries, goes on with some of them at a time, each
 * time behind the last name, and ends with what stands after them. Between two pieces no
 * catalog handle is held and no statement is open, however long the client takes; the commit
 * is fixed at the beginning, so all pieces are of the same state.
 *
 * Links are relative, and end in a slash for folders, which is what programs that walk such
 * pages want. What has no content (symlinks, devices) is listed without a link.
 *
 * Names are bytes: links escape them, and what is shown of them is text and nothing else.
 */
#include "serve/folder.h"

#include "archive/backing.h"
#include "base/error.h"
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "catalog/listing.h"
#include "serve/answer.h"
#include "serve/http_target.h"
#include "serve/look_up.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PIECE_SIZE (32u << 10) /* bytes, about, that are made at a time */

struct folder {
	struct body base;
	struct request *request; /* owned use */
	bool json;
	int64_t node; /* of the folder, 0: the top */
	uint64_t at;
	struct bytes after; /* owned: the last name that was written */
	struct bytes only;  /* borrowed from the request's token: the one name to show */
	bool begun;
	bool ended;
	bool comma;
	struct text text; /* made, but not sent yet */
	size_t taken;     /* bytes of it that were sent */
};

/* HTML. */

/* Append a name as text: what can't be shown as \xNN, what means something in HTML escaped. */
static int append_html(struct text *text, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < size;) {
		size_t n = utf8_printable(bytes + i, size - i);

		if (n == 0)
			r = text_appendf(text, "\\x%02x", bytes[i]);
		else if (n == 1 && strchr("<>&\"'", bytes[i]))
			r = text_appendf(text, "&#%u;", bytes[i]);
		else
			r = text_append_bytes(text, bytes + i, n);
		i += n ?: 1;
	}
	return r;
}

static int append_title(struct folder *folder)
{
	struct text *text = &folder->text;
	autofree char *path = NULL;
	int r;

	r = key_to_path(folder->request->key.data, folder->request->key.size, &path);
	if (r == 0)
		r = text_append(text, "/");
	if (r == 0)
		r = append_html(text, path, strlen(path));
	return r;
}

static int begin_html(struct folder *folder)
{
	struct text *text = &folder->text;
	int r;

	r = text_append(text, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
			      "<meta charset=\"utf-8\">"
			      "<meta name=\"viewport\" content=\"width=device-width\">"
			      "<meta name=\"color-scheme\" content=\"light dark\">"
			      "<title>");
	if (r == 0)
		r = append_title(folder);
	if (r == 0)
		r = text_append(text,
				"</title><style>body{font-family:sans-serif;margin:1em}"
				"td{padding:.1em 1em .1em 0}"
				"td+td{text-align:right;white-space:nowrap}</style>"
				"</head><body><h1>");
	if (r == 0)
		r = append_title(folder);
	if (r == 0)
		r = text_append(text, "</h1><table>\n");
	if (r == 0 && folder->request->key.size > 0)
		r = text_append(text, "<tr><td><a href=\"../\">../</a></td></tr>\n");
	return r;
}

static int append_link(struct text *text, const struct version_row *row)
{
	bool is_folder = row->type == ENTRY_DIRECTORY;
	int r;

	/* "./" keeps "a:b" from being a scheme. */
	r = text_append(text, memchr(row->name.data, ':', row->name.size) ? "<a href=\"./"
									  : "<a href=\"");
	if (r == 0)
		r = http_escape(text, row->name.data, row->name.size);
	if (r == 0)
		r = text_append(text, is_folder ? "/\">" : "\">");
	if (r == 0)
		r = append_html(text, row->name.data, row->name.size);
	return r < 0 ? r : text_append(text, is_folder ? "/</a>" : "</a>");
}

static int append_plain(struct text *text, const struct version_row *row)
{
	struct manifest manifest = { 0 };
	int r;

	r = append_html(text, row->name.data, row->name.size);
	if (r == 0 && row->type != ENTRY_SYMLINK)
		return text_appendf(text, " (%s)", entry_type_name(row->type));
	if (r == 0)
		r = manifest_decode(row->line, row->line_size, &manifest, NULL);
	if (r == 0)
		r = text_append(text, " -&gt; ");
	if (r == 0)
		r = append_html(text, manifest.target.data, manifest.target.size);
	manifest_done(&manifest);
	return r;
}

static int append_row(struct folder *folder, const struct version_row *row)
{
	struct text *text = &folder->text;
	char size[SIZE_TEXT_MAX];
	char time[TIMESTAMP_TEXT_MAX] = "";
	int64_t ns;
	int r;

	if (!__builtin_mul_overflow(row->mtime.seconds, (int64_t)NS_PER_SECOND, &ns))
		(void)timestamp_format_utc(ns, time);
	time[strcspn(time, ".")] = '\0';
	r = text_append(text, "<tr><td>");
	if (r == 0)
		r = row->type == ENTRY_FILE || row->type == ENTRY_DIRECTORY
			    ? append_link(text, row)
			    : append_plain(text, row);
	return r < 0 ? r
		     : text_appendf(text, "</td><td>%s</td><td>%s</td></tr>\n",
				    row->type == ENTRY_FILE ? size_format(row->size, size)
							    : "",
				    time);
}

/* JSON: the entries' manifests. */

static int append_manifest(struct folder *folder, const struct version_row *row,
			   struct error *err)
{
	int r = text_append(&folder->text, folder->comma ? ",\n" : "\n");

	folder->comma = true;
	return r < 0 ? r : look_up_line(folder->request, row, &folder->text, err);
}

/* Pieces. */

static int begin(struct folder *folder)
{
	folder->begun = true;
	return folder->json ? text_appendf(&folder->text,
					   "{\"commit\":\"%" PRIu64 "\",\"entries\":[",
					   folder->at)
			    : begin_html(folder);
}

static int end(struct folder *folder)
{
	folder->ended = true;
	return text_append(&folder->text,
			   folder->json ? "\n]}\n" : "</table></body></html>\n");
}

/* Write the next entries, and the end behind the last one. */
static int append_entries(struct folder *folder, struct catalog *catalog,
			  struct error *err)
{
	autoptr(listing) listing = NULL;
	struct version_row row = { 0 };
	int r;

	r = listing_children_after(catalog, folder->node, folder->at, true,
				   &folder->after, &listing, err);
	while (r == 0 && folder->text.size < PIECE_SIZE) {
		r = listing_next(listing, &row, err);
		if (r == 0 && look_up_shows(&folder->only, &row))
			r = folder->json ? append_manifest(folder, &row, err)
					 : append_row(folder, &row);
		if (r != 0)
			break;
		free(folder->after.data);
		folder->after = row.name;
		row.name = (struct bytes){ 0 };
	}
	version_row_done(&row);
	return r == CATALOG_END ? end(folder) : r;
}

static int make_piece(struct folder *folder, struct error *err)
{
	struct backing *backing = folder->request->backing;
	struct catalog *catalog = NULL;
	int r = 0;

	text_clear(&folder->text);
	folder->taken = 0;
	if (!folder->begun)
		r = begin(folder);
	if (r == 0)
		r = backing_take_catalog(backing, &catalog, err);
	if (r < 0)
		return r;
	r = append_entries(folder, catalog, err);
	backing_give_catalog(backing, catalog);
	return r == -ENOMEM ? error_set(err, r, "no memory for a folder") : r;
}

static int read_folder(struct body *body, uint64_t offset, void *data, size_t size,
		       size_t *size_out, struct error *err)
{
	struct folder *folder = (struct folder *)body;
	size_t left = folder->text.size - folder->taken;
	int r;

	(void)offset;
	if (left == 0 && !folder->ended) {
		r = make_piece(folder, err);
		if (r < 0)
			return r;
		left = folder->text.size;
	}
	if (left > size)
		left = size;
	memcpy(data, text_string(&folder->text) + folder->taken, left);
	folder->taken += left;
	*size_out = left;
	return 0;
}

static void free_folder(struct body *body)
{
	struct folder *folder = (struct folder *)body;

	free(folder->after.data);
	text_done(&folder->text);
	request_unref(folder->request);
	free(folder);
}

static int send_pieces(struct request *request, struct folder *folder, const char *type,
		       struct error *err)
{
	struct stream_part part = { 0 };
	struct stream *stream = NULL;
	int r;

	r = stream_new(&request->server->streams, &folder->base, "a folder", &part, 1,
		       &stream, err);
	return r < 0 ? r : answer_stream(request, 200, type, stream, err);
}

/* A folder that is one piece has a known size. */
int folder_answer(struct request *request, const struct found *found, uint64_t at,
		  bool json, struct error *err)
{
	static const struct body_ops ops = { read_folder, free_folder, NULL };
	const char *type = json ? "application/json" : "text/html; charset=utf-8";
	struct folder *folder = calloc(1, sizeof(*folder));
	int r;

	if (!folder)
		return error_set(err, -ENOMEM, "no memory for a folder");
	/* Each piece takes one; who waits with one in hand waits for ever if all do. */
	request_give_catalog(request);
	folder->base = (struct body){ &ops, BODY_SIZE_UNKNOWN };
	folder->request = request_ref(request);
	folder->json = json;
	folder->node = found->top ? 0 : found->row.node;
	folder->at = at;
	folder->only = look_up_only(request);
	r = make_piece(folder, err);
	if (r == 0 && !folder->ended) {
		r = send_pieces(request, folder, type, err);
	} else {
		if (r == 0)
			r = answer_text(request, 200, type, &folder->text, err);
		free_folder(&folder->base);
	}
	if (r == 0)
		r = answer_header(request, "Vary", "Accept", err);
	return r < 0 || json
		       ? r
		       : answer_header(request, "Content-Security-Policy",
				       "default-src 'none'; style-src 'unsafe-inline'",
				       err);
}
