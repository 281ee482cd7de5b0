/* SPDX-License-Identifier: MIT */
#include "serve/parameter.h"

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "catalog/history.h"
#include "serve/http_target.h"
#include "serve/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int parameter_commit(struct request *request, bool resolve, uint64_t *at_out,
		     struct error *err)
{
	const char *text = http_target_parameter(&request->target, "at");
	struct commit_row commit = { 0 };
	uint64_t number;
	int r;

	*at_out = VERSION_CURRENT;
	if (!text && !resolve)
		return 0;
	r = request_take_catalog(request, err);
	if (r < 0)
		return r;
	r = CATALOG_END;
	if (!text)
		r = catalog_get_commit(request->catalog, VERSION_CURRENT, &commit, err);
	else if (number_parse_u64(text, &number) == 0)
		r = catalog_get_commit(request->catalog, number, &commit, err);
	if (r == CATALOG_END && text && strlen(text) >= 4)
		r = catalog_find_commit(request->catalog, text, &commit, err);
	if (r == CATALOG_END)
		return error_set(err, -ENOENT, "no commit '%.80s'", text ? text : "");
	if (r == 0)
		*at_out = commit.sequence;
	commit_row_done(&commit);
	return r;
}

static int take_path(struct request *request, const char *path, struct error *err)
{
	autofree char *copy = NULL;
	size_t size;

	path += strspn(path, "/");
	size = strlen(path);
	while (size > 0 && path[size - 1] == '/')
		size--;
	copy = strndup(path, size);
	if (!copy)
		return error_set(err, -ENOMEM, "no memory for a path");
	request->key = (struct bytes){ 0 };
	if (size == 0)
		return 0;
	if (key_from_path(copy, &request->own_key, err) < 0)
		return error_set(err, -EINVAL, "this is no path");
	request->key = request->own_key;
	return 0;
}

int parameter_path(struct request *request, const char *name, struct error *err)
{
	const char *path = http_target_parameter(&request->target, name);

	return take_path(request, path ? path : "", err);
}

int parameter_name(struct request *request, struct error *err)
{
	autotext struct text path = { 0 };

	if (text_append_bytes(&path, request->key.data, request->key.size) < 0)
		return error_set(err, -ENOMEM, "no memory for a path");
	return take_path(request, text_string(&path), err);
}

int parameter_cursor(const struct request *request, struct bytes *key_out,
		     struct error *err)
{
	const char *text = http_target_parameter(&request->target, "cursor");
	autotext struct text path = { 0 };

	*key_out = (struct bytes){ 0 };
	if (!text)
		return 0;
	if (text_append(&path, "/") < 0 || text_append(&path, text) < 0)
		return error_set(err, -ENOMEM, "no memory for a cursor");
	if (http_path_parse(text_string(&path), key_out, err) < 0)
		return error_set(err, -EINVAL, "parameter 'cursor': not one of ours");
	return 0;
}

int parameter_number(const struct request *request, const char *name, uint64_t fallback,
		     uint64_t max, uint64_t *value_out, struct error *err)
{
	const char *text = http_target_parameter(&request->target, name);

	*value_out = fallback;
	if (!text)
		return 0;
	if (number_parse_u64(text, value_out) < 0 || *value_out > max)
		return error_set(err, -EINVAL,
				 "parameter '%s': '%.64s' is no number up to %" PRIu64,
				 name, text, max);
	return 0;
}
