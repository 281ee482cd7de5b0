/* SPDX-License-Identifier: MIT */
#pragma once
/* What an answer means that is neither 200 nor 304. Pure functions, any thread. */
struct error;
struct text;

#define HTTP_PROBLEM_MAX 4096u /* bytes of what a server says of an error */

/* The error for @status, with @type (content type, or NULL) and the body @problem: those of
 * http_get(), or -EAGAIN for a server, or a proxy, that can't answer now. What the server
 * says stands quoted in the text. */
int http_status_error(long status, const char *type, const struct text *problem,
		      struct error *err);
