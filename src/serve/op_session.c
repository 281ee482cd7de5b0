/* SPDX-License-Identifier: MIT */
/* Logging in: POST with a token in an Authorization header begins a session, whose name the
 * browser keeps in a cookie; DELETE ends it. No page of others can do either, since neither
 * the header nor the method is one that a browser sends for them without asking first. All
 * methods answer with what the one who asks may see. */
#include "serve/op.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "serve/access.h"
#include "serve/answer.h"
#include "serve/connection.h"
#include "serve/http_target.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <string.h>

/* What the page has to know. */
static int write_session(const struct request *request, struct text *text)
{
	const struct token *token = &request->token;
	autotext struct text prefix = { 0 };
	struct json_writer json;
	int r;

	r = text_append(&prefix, "/");
	if (r == 0)
		r = http_escape_key(&prefix, token->prefix.data, token->prefix.size);
	if (r < 0)
		return r;
	json_writer_init(&json, text);
	json_write_object(&json, NULL);
	json_write_bool(&json, "needed", request->server->options->token_file);
	json_write_bool(&json, "open", request->known);
	json_write_bool(&json, "whole", request->known && !token->restricted);
	if (request->known)
		json_write_string(&json, "prefix", text_string(&prefix));
	json_write_end(&json);
	return json_writer_finish(&json);
}

/* A proxy may speak TLS for us. */
static bool is_secure(const struct request *request)
{
	const char *scheme = connection_header(request, "X-Forwarded-Proto");

	return request->server->options->certificate ||
	       (scheme && strcmp(scheme, "https") == 0);
}

/* An empty @name takes the cookie away. */
static int add_cookie(struct request *request, const char *name, struct error *err)
{
	const struct server *server = request->server;
	autotext struct text text = { 0 };
	int r;

	r = text_appendf(&text,
			 ACCESS_COOKIE "=%s; Path=%s/; HttpOnly; SameSite=Strict; "
				       "Max-Age=%u%s",
			 name, server->options->base_path,
			 *name ? server->options->archive.config->server.session_timeout
			       : 0,
			 is_secure(request) ? "; Secure" : "");
	if (r < 0)
		return error_set(err, r, "no memory for a session");
	return answer_header(request, "Set-Cookie", text_string(&text), err);
}

static int answer_session(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };

	if (write_session(request, &text) < 0 || text_append(&text, "\n") < 0)
		return error_set(err, -ENOMEM, "no memory for a session");
	return answer_text(request, 200, "application/json", &text, err);
}

static int begin(struct request *request, struct error *err)
{
	struct server *server = request->server;
	char name[SESSION_NAME_SIZE];
	int r;

	if (!server->options->token_file)
		return answer_session(request, err); /* nobody needs one */
	if (!request->known || !connection_header(request, "Authorization"))
		return error_set(err, -EPERM, "a token that is known is needed");
	r = sessions_begin(&server->sessions, &request->token.hash, clock_monotonic_ns(),
			   name, err);
	if (r == 0)
		r = answer_session(request, err);
	return r < 0 ? r : add_cookie(request, name, err);
}

static int end(struct request *request, struct error *err)
{
	const char *name = connection_cookie(request, ACCESS_COOKIE);
	int r;

	if (name && request->known)
		sessions_end(&request->server->sessions, name);
	request->known = !request->server->options->token_file;
	r = answer_session(request, err);
	return r < 0 ? r : add_cookie(request, "", err);
}

int op_session(struct request *request, struct error *err)
{
	if (strcmp(request->method, "POST") == 0)
		return begin(request, err);
	if (strcmp(request->method, "DELETE") == 0)
		return end(request, err);
	return answer_session(request, err);
}
