/* SPDX-License-Identifier: MIT */
/* Files and folders by their paths. */
#include "serve/op.h"

#include "base/error.h"
#include "base/text.h"
#include "serve/answer.h"
#include "serve/connection.h"
#include "serve/content.h"
#include "serve/folder.h"
#include "serve/look_up.h"
#include "serve/parameter.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <string.h>

/* To the same path with, or without, a slash at the end: links in a folder's page are relative
 * to it. */
static int redirect(struct request *request, bool slash, struct error *err)
{
	const char *base = request->server->options->base_path;
	autotext struct text text = { 0 };
	int r;

	r = text_appendf(&text, "%s/files/", base);
	if (r == 0)
		r = http_escape_key(&text, request->key.data, request->key.size);
	if (r == 0 && slash && request->key.size > 0)
		r = text_append(&text, "/");
	if (r < 0)
		return error_set(err, r, "no memory for a path");
	return answer_redirect(request, 301, text_string(&text), err);
}

static int answer_file(struct request *request, const struct found *found,
		       struct error *err)
{
	enum entry_type type = found->manifest.type;

	if (type != ENTRY_FILE)
		return error_set(err, -ENOENT, "this is a %s, which has no content",
				 entry_type_name(type));
	return content_answer(request, &found->manifest, err);
}

static bool wants_json(const struct request *request)
{
	const char *accept = connection_header(request, "Accept");

	return accept && strstr(accept, "application/json") &&
	       !strstr(accept, "text/html");
}

int op_files(struct request *request, struct error *err)
{
	autofound found = { 0 };
	uint64_t at;
	int r;

	r = parameter_commit(request, true, &at, err);
	if (r == 0)
		r = look_up(request, at, 0, true, &found, err);
	if (r < 0)
		return r;
	if (found_is_folder(&found) != request->target.slash)
		return redirect(request, found_is_folder(&found), err);
	if (found_is_folder(&found))
		return folder_answer(request, &found, at, wants_json(request), err);
	r = request_check_reach(request, request->key.data, request->key.size, err);
	return r < 0 ? r : answer_file(request, &found, err);
}

int op_stream(struct request *request, struct error *err)
{
	autofound found = { 0 };
	uint64_t number;
	uint64_t at;
	int r;

	r = parameter_number(request, "version", 0, UINT32_MAX, &number, err);
	if (r == 0)
		r = parameter_commit(request, false, &at, err);
	if (r == 0)
		r = look_up(request, at, number, false, &found, err);
	if (r < 0)
		return r;
	if (found_is_folder(&found))
		return error_set(err, -ENOENT, "this is a folder, which has no content");
	return answer_file(request, &found, err);
}
