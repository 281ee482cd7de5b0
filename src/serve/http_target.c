/* SPDX-License-Identifier: MIT */
/* What a path decodes to is a key of the archive, not a string with slashes: %2F in a
 * component stays a byte of that component, of which no entry has one. There is no
 * resolution of "." and "..": clients do that before they ask, and a server that does it
 * again, after decoding, is how files are reached that nobody meant to serve. */
#include "serve/http_target.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decode @size characters into @out, which has room for as many. */
static int decode(const char *raw, size_t size, bool plus_is_space, uint8_t *out,
		  size_t *size_out, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		int high;
		int low;

		if (raw[i] != '%') {
			out[n++] = plus_is_space && raw[i] == '+' ? ' ' : (uint8_t)raw[i];
			continue;
		}
		high = i + 2 < size ? digit_value(raw[i + 1]) : -1;
		low = i + 2 < size ? digit_value(raw[i + 2]) : -1;
		if (high < 0 || low < 0)
			return error_set(err, -EINVAL,
					 "a '%%' without two hexadecimal digits");
		if (high == 0 && low == 0)
			return error_set(err, -EINVAL, "%%00 is in no name");
		out[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	*size_out = n;
	return 0;
}

/* Decode the component of @size characters at @raw to the end of @path. */
static int add_component(const char *raw, size_t size, struct bytes *path,
			 struct error *err)
{
	uint8_t *out = path->data + path->size;
	size_t n;
	int r;

	if (size == 0)
		return error_set(err, -EINVAL, "a component of the path is empty");
	if (path->size > 0)
		*out++ = '\0';
	r = decode(raw, size, false, out, &n, err);
	if (r < 0)
		return r;
	if ((n == 1 && out[0] == '.') || (n == 2 && out[0] == '.' && out[1] == '.'))
		return error_set(err, -EINVAL, "'.' and '..' are not followed");
	path->size = (size_t)(out - path->data) + n;
	return 0;
}

static int parse_path(const char *raw, size_t size, struct bytes *path_out,
		      bool *slash_out, struct error *err)
{
	struct bytes path = { 0 };
	int r = 0;

	if (size == 0 || raw[0] != '/')
		return error_set(err, -EINVAL, "the path does not begin with '/'");
	path.data = malloc(size);
	if (!path.data)
		return error_set(err, -ENOMEM, "no memory for a path");
	for (size_t at = 1; r == 0 && at < size;) {
		const char *end = memchr(raw + at, '/', size - at);
		size_t n = end ? (size_t)(end - raw) - at : size - at;

		r = add_component(raw + at, n, &path, err);
		at += n + 1;
	}
	if (r < 0) {
		free(path.data);
		return r;
	}
	*slash_out = raw[size - 1] == '/';
	*path_out = path;
	return 0;
}

int http_path_parse(const char *raw, struct bytes *path_out, struct error *err)
{
	bool slash;

	return parse_path(raw, strlen(raw), path_out, &slash, err);
}

static int decode_string(const char *raw, size_t size, char **string_out,
			 struct error *err)
{
	autofree uint8_t *string = malloc(size + 1);
	size_t n;
	int r;

	if (!string)
		return error_set(err, -ENOMEM, "no memory for a parameter");
	r = decode(raw, size, true, string, &n, err);
	if (r < 0)
		return r;
	string[n] = '\0';
	*string_out = (char *)take_ptr(string);
	return 0;
}

static int add_parameter(const char *raw, size_t size, struct http_target *target,
			 struct error *err)
{
	const char *equals = memchr(raw, '=', size);
	size_t name_size = equals ? (size_t)(equals - raw) : size;
	struct http_parameter *parameter = &target->parameters[target->parameter_count];
	int r;

	if (size == 0)
		return 0;
	if (target->parameter_count == HTTP_PARAMETERS_MAX)
		return error_set(err, -EINVAL, "too many parameters");
	target->parameter_count++; /* http_target_done() frees it from here on */
	r = decode_string(raw, name_size, &parameter->name, err);
	if (r == 0)
		r = decode_string(raw + name_size + (equals != NULL),
				  size - name_size - (equals != NULL), &parameter->value,
				  err);
	if (r < 0)
		return r;
	for (size_t i = 0; i + 1 < target->parameter_count; i++)
		if (strcmp(target->parameters[i].name, parameter->name) == 0)
			return error_set(err, -EINVAL, "parameter '%.64s' comes twice",
					 parameter->name);
	return 0;
}

static int parse_parameters(const char *raw, struct http_target *target,
			    struct error *err)
{
	int r = 0;

	while (r == 0 && *raw) {
		size_t size = strcspn(raw, "&");

		r = add_parameter(raw, size, target, err);
		raw += size + (raw[size] == '&');
	}
	return r;
}

/* Step over "http://host", which only proxies send. */
static int parse_authority(const char **raw, struct http_target *target,
			   struct error *err)
{
	size_t scheme = strncasecmp(*raw, "http://", 7) == 0    ? 7
			: strncasecmp(*raw, "https://", 8) == 0 ? 8
								: 0;
	size_t size;

	if (scheme == 0)
		return 0;
	size = strcspn(*raw + scheme, "/?#");
	target->authority = strndup(*raw + scheme, size);
	if (!target->authority)
		return error_set(err, -ENOMEM, "no memory for a host");
	*raw += scheme + size;
	return 0;
}

int http_target_parse(const char *raw, struct http_target *target_out, struct error *err)
{
	autotarget target = { 0 };
	size_t size;
	int r;

	r = parse_authority(&raw, &target, err);
	if (r < 0)
		return r;
	size = strcspn(raw, "?#");
	if (raw[size] == '#')
		return error_set(err, -EINVAL, "a fragment is not for servers");
	r = parse_path(raw, size, &target.path, &target.slash, err);
	if (r == 0 && raw[size] == '?')
		r = parse_parameters(raw + size + 1, &target, err);
	if (r < 0)
		return r;
	*target_out = target;
	target = (struct http_target){ 0 };
	return 0;
}

void http_target_done(struct http_target *target)
{
	free(target->authority);
	free(target->path.data);
	for (size_t i = 0; i < target->parameter_count; i++) {
		free(target->parameters[i].name);
		free(target->parameters[i].value);
	}
	*target = (struct http_target){ 0 };
}

const char *http_target_parameter(const struct http_target *target, const char *name)
{
	for (size_t i = 0; i < target->parameter_count; i++)
		if (strcmp(target->parameters[i].name, name) == 0)
			return target->parameters[i].value;
	return NULL;
}

static bool is_unreserved(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

int http_escape(struct text *text, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < size; i++)
		r = is_unreserved(bytes[i]) ? text_append_char(text, (char)bytes[i])
					    : text_appendf(text, "%%%02X", bytes[i]);
	return r;
}

int http_escape_key(struct text *text, const uint8_t *key, size_t size)
{
	int r = 0;

	while (r == 0 && size > 0) {
		const uint8_t *end = memchr(key, '\0', size);
		size_t n = end ? (size_t)(end - key) : size;

		r = http_escape(text, key, n);
		if (r == 0 && end)
			r = text_append_char(text, '/');
		key += n + (end != NULL);
		size -= n + (end != NULL);
	}
	return r;
}
