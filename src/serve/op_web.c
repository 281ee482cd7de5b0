/* SPDX-License-Identifier: MIT */
/* The page at "/" and what belongs to it: fixed files, the same for everybody, so no token is
 * needed for them; what they show is asked for by the browser.
 *
 * The policy lets the page run its own scripts only, and send what it asks for to this server
 * only. Archived content can't become one of its scripts: it is never sent with a type that a
 * browser would run (serve/mime.c).
 */
#include "serve/op.h"

#include "base/error.h"
#include "base/text.h"
#include "merkle/hash.h"
#include "serve/answer.h"
#include "serve/connection.h"
#include "serve/http_condition.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/web_file.h"

#include <errno.h>
#include <string.h>

#define PAGE_POLICY                                                                 \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " \
	"media-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; " \
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

static const struct web_file *find_file(const void *name, size_t size)
{
	for (size_t i = 0; i < web_file_count; i++)
		if (strlen(web_files[i].name) == size &&
		    memcmp(web_files[i].name, name, size) == 0)
			return &web_files[i];
	return NULL;
}

static void make_etag(const struct web_file *file, char etag_out[HASH_HEX_SIZE + 2])
{
	struct hash hash;

	hash_bytes(file->data, file->size, &hash);
	etag_out[0] = '"';
	hash_to_hex(&hash, etag_out + 1);
	etag_out[HASH_HEX_SIZE] = '"';
	etag_out[HASH_HEX_SIZE + 1] = '\0';
}

static int answer_web(struct request *request, const struct web_file *file,
		      struct error *err)
{
	const struct http_conditions conditions = {
		.if_none_match = connection_header(request, "If-None-Match"),
	};
	char etag[HASH_HEX_SIZE + 2];
	const struct http_validators validators = { .etag = etag };
	int r;

	make_etag(file, etag);
	if (http_condition_check(&conditions, &validators) == HTTP_CONDITION_NOT_MODIFIED)
		r = answer_empty(request, 304, file->size, err);
	else
		r = answer_constant(request, file->type, file->data, file->size, err);
	if (r == 0)
		r = answer_header(request, "ETag", etag, err);
	if (r == 0)
		r = answer_header(request, "Content-Security-Policy", PAGE_POLICY, err);
	if (r == 0)
		r = answer_header(request, "Cross-Origin-Opener-Policy", "same-origin",
				  err);
	return r < 0 ? r : answer_header(request, "Referrer-Policy", "no-referrer", err);
}

/* Without its slash, a base path would make nonsense of the page's relative links. */
static int redirect(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };

	if (text_appendf(&text, "%s/", request->server->options->base_path) < 0)
		return error_set(err, -ENOMEM, "no memory for a path");
	return answer_redirect(request, 301, text_string(&text), err);
}

int op_root(struct request *request, struct error *err)
{
	if (!request->target.slash)
		return redirect(request, err);
	return answer_web(request, find_file(WEB_PAGE, strlen(WEB_PAGE)), err);
}

int op_web(struct request *request, struct error *err)
{
	const struct web_file *file = find_file(request->key.data, request->key.size);

	if (!file || strcmp(file->name, WEB_PAGE) == 0)
		return error_set(err, -ENOENT, "the page has no such file");
	return answer_web(request, file, err);
}
