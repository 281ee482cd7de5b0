/* SPDX-License-Identifier: MIT */
/* The API, told from the table that it is answered from: as OpenAPI, and as a page. */
#include "serve/op.h"

#include "base/error.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "serve/answer.h"
#include "serve/request.h"
#include "serve/route.h"
#include "serve/server.h"

#include <errno.h>
#include <string.h>

#define VARIABLE_MAX 16u /* bytes of the name of a path's variable, NUL included */

/* OpenAPI. */

static void write_parameter(struct json_writer *json, const char *name, const char *place,
			    bool required, const char *help)
{
	json_write_object(json, NULL);
	json_write_string(json, "name", name);
	json_write_string(json, "in", place);
	json_write_bool(json, "required", required);
	json_write_string(json, "description", help);
	json_write_object(json, "schema");
	json_write_string(json, "type", "string");
	json_write_end(json);
	json_write_end(json);
}

static const char *variable_help(enum route_variable variable)
{
	switch (variable) {
	case ROUTE_PATH:
		return "a path in the archive; its slashes are not escaped";
	case ROUTE_NAME:
		return "a path in the archive, with its slashes escaped";
	case ROUTE_HASH:
		return "64 hexadecimal digits, in small letters";
	case ROUTE_FIXED:
		break;
	}
	return "a number";
}

static void write_parameters(struct json_writer *json, const struct route *route)
{
	const struct route_parameter *parameter = route->parameters;

	json_write_array(json, "parameters");
	for (const char *c = strchr(route->path, '{'); c; c = strchr(c + 1, '{')) {
		bool is_number = strncmp(c, "{number}", 8) == 0;
		char name[VARIABLE_MAX] = "";

		memcpy(name, c + 1, strcspn(c + 1, "}"));
		write_parameter(json, name, "path", true,
				variable_help(is_number ? ROUTE_FIXED : route->variable));
	}
	for (; parameter && parameter->name; parameter++)
		write_parameter(json, parameter->name, "query", parameter->required,
				parameter->help);
	json_write_end(json);
}

static void write_responses(struct json_writer *json, const struct route *route)
{
	json_write_object(json, "responses");
	json_write_object(json, "200");
	json_write_string(json, "description", route->summary);
	json_write_object(json, "content");
	json_write_object(json, route->type);
	json_write_end(json);
	json_write_end(json);
	json_write_end(json);
	json_write_object(json, "default");
	json_write_string(json, "description", "What is wrong (RFC 9457)");
	json_write_object(json, "content");
	json_write_object(json, "application/problem+json");
	json_write_end(json);
	json_write_end(json);
	json_write_end(json);
	json_write_end(json);
}

static const char *reach_text(enum route_reach reach)
{
	switch (reach) {
	case ROUTE_OPEN:
		return "Without a token, too.";
	case ROUTE_WHOLE:
		return "For tokens without a path only.";
	case ROUTE_FILTERED:
		break;
	}
	return "For any token, of what it reaches.";
}

static void write_route(struct json_writer *json, const struct route *route)
{
	static const char *const methods[][2] = { { "GET", "get" },
						  { "HEAD", "head" },
						  { "POST", "post" },
						  { "DELETE", "delete" } };

	json_write_object(json, route->path);
	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (!route_has_method(route, methods[i][0]))
			continue;
		json_write_object(json, methods[i][1]);
		json_write_string(json, "summary", route->summary);
		json_write_string(json, "description", reach_text(route->reach));
		write_parameters(json, route);
		write_responses(json, route);
		json_write_end(json);
	}
	json_write_end(json);
}

static int write_openapi(const struct server *server, struct text *text)
{
	struct json_writer json;

	json_writer_init(&json, text);
	json_write_object(&json, NULL);
	json_write_string(&json, "openapi", "3.1.0");
	json_write_object(&json, "info");
	json_write_string(&json, "title", "BlockFrame");
	json_write_string(&json, "version", "1");
	json_write_end(&json);
	json_write_array(&json, "servers");
	json_write_object(&json, NULL);
	json_write_string(&json, "url",
			  server->options->base_path[0] ? server->options->base_path
							: "/");
	json_write_end(&json);
	json_write_end(&json);
	json_write_object(&json, "paths");
	for (size_t i = 0; i < route_count; i++)
		write_route(&json, &routes[i]);
	json_write_end(&json);
	json_write_object(&json, "components");
	json_write_object(&json, "securitySchemes");
	json_write_object(&json, "token");
	json_write_string(&json, "type", "http");
	json_write_string(&json, "scheme", "bearer");
	json_write_end(&json);
	json_write_end(&json);
	json_write_end(&json);
	json_write_end(&json);
	return json_writer_finish(&json);
}

int op_openapi(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = write_openapi(request->server, &text);
	if (r < 0)
		return error_set(err, r, "no memory for the API");
	return answer_text(request, 200, "application/json", &text, err);
}

/* The page. Everything in the table is text without a meaning in HTML. */

static int append_route(const struct route *route, struct text *text)
{
	const struct route_parameter *parameter = route->parameters;
	int r;

	r = text_appendf(text, "<dt><code>%s</code></dt><dd>%s. %s", route->path,
			 route->summary, reach_text(route->reach));
	for (; r == 0 && parameter && parameter->name; parameter++)
		r = text_appendf(text, "<br><code>%s</code>: %s", parameter->name,
				 parameter->help);
	return r < 0 ? r : text_append(text, "</dd>\n");
}

int op_docs(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = text_append(&text,
			"<!DOCTYPE html>\n<html lang=\"en\"><head>"
			"<meta charset=\"utf-8\">"
			"<meta name=\"viewport\" content=\"width=device-width\">"
			"<meta name=\"color-scheme\" content=\"light dark\">"
			"<title>BlockFrame: the API</title><style>"
			"body{font-family:sans-serif;margin:1em;max-width:50em}"
			"dt{margin-top:1em}</style></head><body><h1>The API</h1>"
			"<p>GET and HEAD, unless it says more; the same as "
			"<a href=\"openapi.json\">OpenAPI</a>. "
			"What goes wrong is told by a status and a JSON document. 64-bit "
			"numbers are strings in JSON; names that are not UTF-8 have "
			"<code>_base64</code> behind their key.</p><dl>\n");
	for (size_t i = 0; r == 0 && i < route_count; i++)
		r = append_route(&routes[i], &text);
	if (r == 0)
		r = text_append(&text, "</dl></body></html>\n");
	if (r < 0)
		return error_set(err, r, "no memory for a page");
	r = answer_text(request, 200, "text/html; charset=utf-8", &text, err);
	return r < 0 ? r
		     : answer_header(request, "Content-Security-Policy",
				     "default-src 'none'; style-src 'unsafe-inline'",
				     err);
}
