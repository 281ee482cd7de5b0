/* SPDX-License-Identifier: MIT */
#include "remote/http_status.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define QUOTE_MAX 200u /* bytes */

/* The detail or title of a problem document, made harmless. */
static void quote_problem(const struct text *problem, struct text *text)
{
	autoptr(json) json = NULL;
	const char *title = NULL;

	if (problem->size == 0 ||
	    json_parse(problem->data, problem->size, HTTP_PROBLEM_MAX, &json, NULL) < 0)
		return;
	if (json_get_string(json, "detail", &title, NULL) < 0 &&
	    json_get_string(json, "title", &title, NULL) < 0)
		return;
	if (text_append(text, "; the server says: ") == 0)
		(void)text_append_quoted(text, title, strnlen(title, QUOTE_MAX));
}

/* A problem document comes from the archive's server, and not from a proxy. */
static bool is_own_answer(const char *type)
{
	return type && strncmp(type, "application/problem+json", 24) == 0;
}

static int code_of(long status, bool own)
{
	switch (status) {
	case 404:
		return -ENOENT;
	case 429:
		return -EAGAIN;
	case 500:
	case 504:
		return own ? -EIO : -EAGAIN;
	case 502:
		return own ? -EBADMSG : -EAGAIN;
	case 503:
		return own ? -ENOMEDIUM : -EAGAIN;
	default:
		return -EIO;
	}
}

int http_status_error(long status, const char *type, const struct text *problem,
		      struct error *err)
{
	autotext struct text said = { 0 };

	quote_problem(problem, &said);
	if (status == 401 || status == 403)
		return error_set(err, -EACCES,
				 "the server refuses the token, or wants one (%ld)%s",
				 status, text_string(&said));
	return error_set(err, code_of(status, is_own_answer(type)),
			 "the server answers %ld%s", status, text_string(&said));
}
