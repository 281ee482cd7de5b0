/* SPDX-License-Identifier: MIT */
#include "serve/route.h"

#include "serve/op.h"

#include <string.h>

static const struct route_parameter version_parameters[] = {
	{ "version", "this version of the path, from 1", false },
	{ "at", "as of this commit: its number, or the first digits of its hash", false },
	{ 0 },
};

const struct route routes[] = {
	{ "/files/{path}", ROUTE_PATH, ROUTE_FILTERED, NULL, "*/*",
	  "A file's content, or a folder: as HTML, or as JSON if Accept asks for that",
	  op_files },
	{ "/v1/stream/{path}", ROUTE_PATH, ROUTE_FILTERED, version_parameters, "*/*",
	  "The content of any version of a file", op_stream },
};
const size_t route_count = sizeof(routes) / sizeof(routes[0]);

static bool is_hash(const struct bytes *text)
{
	if (text->size != 64)
		return false;
	for (size_t i = 0; i < text->size; i++)
		if (!memchr("0123456789abcdef", text->data[i], 16))
			return false;
	return true;
}

/* Step over the first component of what is left of a path. */
static struct bytes next_component(struct bytes *rest)
{
	struct bytes component = { rest->data, 0 };

	if (rest->size == 0)
		return component;
	component.size = strnlen((const char *)rest->data, rest->size);
	rest->data += component.size;
	rest->size -= component.size;
	if (rest->size > 0) {
		rest->data++;
		rest->size--;
	}
	return component;
}

static bool take_variable(const struct route *route, struct bytes *rest,
			  struct bytes *variable)
{
	if (route->variable == ROUTE_PATH) {
		*variable = *rest;
		*rest = (struct bytes){ 0 };
		return true;
	}
	*variable = next_component(rest);
	return variable->size > 0 && (route->variable != ROUTE_HASH || is_hash(variable));
}

static bool matches(const struct route *route, struct bytes rest, struct bytes *variable)
{
	const char *pattern = route->path;

	*variable = (struct bytes){ 0 };
	while (*pattern == '/') {
		size_t size = strcspn(++pattern, "/");
		struct bytes component;

		if (*pattern == '{') {
			if (!take_variable(route, &rest, variable))
				return false;
		} else if (size > 0) {
			component = next_component(&rest);
			if (component.size != size ||
			    memcmp(component.data, pattern, size) != 0)
				return false;
		}
		pattern += size;
	}
	return rest.size == 0;
}

const struct route *route_find(const struct bytes *path, struct bytes *variable_out)
{
	for (size_t i = 0; i < route_count; i++)
		if (matches(&routes[i], *path, variable_out))
			return &routes[i];
	return NULL;
}

bool route_has_parameter(const struct route *route, const char *name)
{
	const struct route_parameter *parameter = route->parameters;

	for (; parameter && parameter->name; parameter++)
		if (strcmp(parameter->name, name) == 0)
			return true;
	return false;
}
