/* SPDX-License-Identifier: MIT */
/* json_check() decides what is a document; cJSON then only builds the tree of something
 * known to be well formed. What the grammar cannot see, two members of one name, is looked
 * for in the tree, where names are unescaped: "a" and "\u0061" are the same.
 *
 * struct json is cJSON's node under another name, so that no other file sees cJSON. Its
 * allocation hooks stay malloc and free.
 */
#include "base/json.h"

#include "base/base64.h"
#include "base/hex.h"
#include "base/json_check.h"
#include "base/number.h"
#include "base/utf8.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE_MAX 128 /* bytes of "<name>_base64"; names are constants of ours */
#define FEW_MEMBERS 32    /* compared pairwise; more are sorted */

static const cJSON *node_of(const struct json *json)
{
	return (const cJSON *)json;
}

static const struct json *json_of(const cJSON *node)
{
	return (const struct json *)node;
}

/* Most names that differ do so in their first byte, and members are looked for by the dozen
 * in each line of a folder. */
static bool same_name(const char *a, const char *b)
{
	return a[0] == b[0] && strcmp(a, b) == 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int report_duplicate(const char *name, struct error *err)
{
	return error_set(err, -EBADMSG, "JSON: member '%s' occurs twice", name);
}

static int check_few_names(const cJSON *object, struct error *err)
{
	for (const cJSON *a = object->child; a; a = a->next) {
		for (const cJSON *b = a->next; b; b = b->next) {
			if (same_name(a->string, b->string))
				return report_duplicate(a->string, err);
		}
	}
	return 0;
}

static int check_many_names(const cJSON *object, size_t count, struct error *err)
{
	autofree const char **names = calloc(count, sizeof(*names));
	size_t i = 0;

	if (!names)
		return error_set(err, -ENOMEM, "no memory to check JSON");
	for (const cJSON *member = object->child; member; member = member->next)
		names[i++] = member->string;
	qsort(names, count, sizeof(*names), compare_names);

	for (i = 1; i < count; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			return report_duplicate(names[i], err);
	}
	return 0;
}

static int check_names(const cJSON *node, struct error *err)
{
	size_t count = json_count(json_of(node));

	if (!cJSON_IsObject(node))
		return 0;
	return count <= FEW_MEMBERS ? check_few_names(node, err)
				    : check_many_names(node, count, err);
}

/* Check every object of the tree, depth first. The stack has the path to the node, whose
 * length json_check() has limited. */
static int check_all_names(const cJSON *root, struct error *err)
{
	const cJSON *stack[JSON_DEPTH_MAX + 1] = { root };
	size_t depth = 1;
	int r;

	while (depth > 0) {
		const cJSON *node = stack[depth - 1];

		r = check_names(node, err);
		if (r < 0)
			return r;
		stack[depth - 1] = node->next;
		if (!node->next)
			depth--;
		if (node->child)
			stack[depth++] = node->child;
	}
	return 0;
}

int json_parse(const void *data, size_t size, size_t limit, struct json **json_out,
	       struct error *err)
{
	autoptr(json) json = NULL;
	int r;

	if (size > limit)
		return error_set(err, -EFBIG, "JSON of %zu bytes is larger than %zu",
				 size, limit);
	r = json_check(data, size, err);
	if (r < 0)
		return r;

	json = (struct json *)cJSON_ParseWithLength(data, size);
	if (!json)
		return error_set(err, -ENOMEM, "no memory for JSON of %zu bytes", size);
	r = check_all_names(node_of(json), err);
	if (r < 0)
		return r;
	*json_out = take_ptr(json);
	return 0;
}

void json_free(struct json *json)
{
	cJSON_Delete((cJSON *)json);
}

/* NULL: @object is no object, or has no such member. */
static const cJSON *find_member(const cJSON *object, const char *name)
{
	if (!cJSON_IsObject(object))
		return NULL;
	for (const cJSON *member = object->child; member; member = member->next)
		if (same_name(member->string, name))
			return member;
	return NULL;
}

bool json_has(const struct json *object, const char *name)
{
	return find_member(node_of(object), name) != NULL;
}

static int wrong_type(const cJSON *node, const char *wanted, struct error *err)
{
	return error_set(err, -EBADMSG, "JSON: '%s' is not %s",
			 node->string ? node->string : "value", wanted);
}

/* The member @name, or the value itself when that is NULL. */
static int find(const struct json *object, const char *name, const cJSON **node_out,
		struct error *err)
{
	const cJSON *node = node_of(object);

	if (name) {
		if (!cJSON_IsObject(node))
			return wrong_type(node, "an object", err);
		node = find_member(node, name);
	}
	if (!node)
		return error_set(err, -EBADMSG, "JSON: '%s' is missing", name);
	*node_out = node;
	return 0;
}

int json_get_string(const struct json *object, const char *name, const char **string_out,
		    struct error *err)
{
	const cJSON *node = NULL;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	if (!cJSON_IsString(node))
		return wrong_type(node, "a string", err);
	*string_out = node->valuestring;
	return 0;
}

int json_get_u64(const struct json *object, const char *name, uint64_t *value_out,
		 struct error *err)
{
	const cJSON *node = NULL;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	if (!cJSON_IsString(node) || number_parse_u64(node->valuestring, value_out) < 0)
		return wrong_type(node, "a string with an unsigned 64-bit number", err);
	return 0;
}

int json_get_i64(const struct json *object, const char *name, int64_t *value_out,
		 struct error *err)
{
	const cJSON *node = NULL;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	if (!cJSON_IsString(node) || number_parse_i64(node->valuestring, value_out) < 0)
		return wrong_type(node, "a string with a 64-bit number", err);
	return 0;
}

int json_get_u32(const struct json *object, const char *name, uint32_t *value_out,
		 struct error *err)
{
	const cJSON *node = NULL;
	double value;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	value = cJSON_IsNumber(node) ? node->valuedouble : -1;
	if (!(value >= 0 && value <= UINT32_MAX) || value != (double)(uint32_t)value)
		return wrong_type(node, "a whole number of 32 bits", err);
	*value_out = (uint32_t)value;
	return 0;
}

int json_get_bool(const struct json *object, const char *name, bool *value_out,
		  struct error *err)
{
	const cJSON *node = NULL;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	if (!cJSON_IsBool(node))
		return wrong_type(node, "true or false", err);
	*value_out = cJSON_IsTrue(node);
	return 0;
}

int json_get_object(const struct json *object, const char *name,
		    const struct json **value_out, struct error *err)
{
	const cJSON *node = NULL;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	if (!cJSON_IsObject(node))
		return wrong_type(node, "an object", err);
	*value_out = json_of(node);
	return 0;
}

int json_get_array(const struct json *object, const char *name,
		   const struct json **value_out, struct error *err)
{
	const cJSON *node = NULL;
	int r;

	r = find(object, name, &node, err);
	if (r < 0)
		return r;
	if (!cJSON_IsArray(node))
		return wrong_type(node, "an array", err);
	*value_out = json_of(node);
	return 0;
}

/* A copy of @string with its NUL. */
static int copy_string(const char *string, uint8_t **data_out, size_t *size_out,
		       struct error *err)
{
	char *copy = strdup(string);

	if (!copy)
		return error_set(err, -ENOMEM, "no memory for a JSON string");
	*data_out = (uint8_t *)copy;
	*size_out = strlen(copy);
	return 0;
}

int json_get_bytes(const struct json *object, const char *name, uint8_t **data_out,
		   size_t *size_out, struct error *err)
{
	char other[NAME_SIZE_MAX];
	const char *text = NULL;
	int r;

	r = snprintf(other, sizeof(other), "%s_base64", name);
	assert(r > 0 && r < NAME_SIZE_MAX);
	if (!json_has(object, other)) {
		r = json_get_string(object, name, &text, err);
		return r < 0 ? r : copy_string(text, data_out, size_out, err);
	}

	if (json_has(object, name))
		return error_set(err, -EBADMSG, "JSON: both '%s' and '%s'", name, other);
	r = json_get_string(object, other, &text, err);
	if (r < 0)
		return r;
	r = base64_decode(text, strlen(text), data_out, size_out);
	if (r == -EINVAL)
		return error_set(err, -EBADMSG, "JSON: '%s' is not base64", other);
	if (r < 0)
		return error_set(err, r, "no memory for a JSON string");
	return 0;
}

int json_get_hex(const struct json *object, const char *name, void *data_out, size_t size,
		 struct error *err)
{
	const char *text = NULL;
	int r;

	r = json_get_string(object, name, &text, err);
	if (r < 0)
		return r;
	if (hex_decode(text, data_out, size) < 0)
		return error_set(err, -EBADMSG,
				 "JSON: '%s' is not %zu hexadecimal digits",
				 name ? name : "value", 2 * size);
	return 0;
}

const struct json *json_first(const struct json *container)
{
	return json_of(node_of(container)->child);
}

const struct json *json_next(const struct json *value)
{
	return json_of(node_of(value)->next);
}

size_t json_count(const struct json *container)
{
	size_t count = 0;

	for (const cJSON *node = node_of(container)->child; node; node = node->next)
		count++;
	return count;
}

const char *json_name(const struct json *value)
{
	return node_of(value)->string;
}
