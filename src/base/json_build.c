/* SPDX-License-Identifier: MIT */
#include "base/json_build.h"

#include "base/base64.h"
#include "base/hex.h"
#include "base/number.h"
#include "base/text.h"
#include "base/utf8.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

struct json *json_object_new(void)
{
	return (struct json *)cJSON_CreateObject();
}

struct json *json_array_new(void)
{
	return (struct json *)cJSON_CreateArray();
}

/* Whether a new value may be added to @parent as @name. */
static bool is_free_place(const struct json *parent, const char *name)
{
	if (!name)
		return cJSON_IsArray((const cJSON *)parent);
	return cJSON_IsObject((const cJSON *)parent) && utf8_valid(name, strlen(name)) &&
	       !json_has(parent, name);
}

/* Add @item (NULL: it could not be allocated), which is consumed whatever happens. */
static int attach(struct json *parent, const char *name, cJSON *item)
{
	autoptr(json) owned = (struct json *)item;
	bool added;

	if (!is_free_place(parent, name))
		return -EINVAL;
	if (!owned)
		return -ENOMEM;
	added = name ? cJSON_AddItemToObject((cJSON *)parent, name, item)
		     : cJSON_AddItemToArray((cJSON *)parent, item);
	if (!added)
		return -ENOMEM;
	(void)take_ptr(owned);
	return 0;
}

int json_add_string(struct json *parent, const char *name, const char *value)
{
	if (!utf8_valid(value, strlen(value)))
		return -EINVAL;
	return attach(parent, name, cJSON_CreateString(value));
}

int json_add_u64(struct json *parent, const char *name, uint64_t value)
{
	char text[NUMBER_TEXT_MAX];

	(void)number_format_u64(value, text);
	return attach(parent, name, cJSON_CreateString(text));
}

int json_add_i64(struct json *parent, const char *name, int64_t value)
{
	char text[NUMBER_TEXT_MAX];

	(void)number_format_i64(value, text);
	return attach(parent, name, cJSON_CreateString(text));
}

int json_add_u32(struct json *parent, const char *name, uint32_t value)
{
	return attach(parent, name, cJSON_CreateNumber(value));
}

int json_add_bool(struct json *parent, const char *name, bool value)
{
	return attach(parent, name, cJSON_CreateBool(value));
}

static int add_base64(struct json *parent, const char *name, const void *data,
		      size_t size)
{
	autofree char *encoded = NULL;
	autotext struct text other = { 0 };
	int r;

	r = text_appendf(&other, "%s_base64", name);
	if (r < 0)
		return r;
	encoded = malloc(base64_size(size) + 1);
	if (!encoded)
		return -ENOMEM;
	base64_encode(data, size, encoded);
	encoded[base64_size(size)] = 0;
	return json_add_string(parent, text_string(&other), encoded);
}

int json_add_bytes(struct json *parent, const char *name, const void *data, size_t size)
{
	autofree char *copy = NULL;

	if (!name)
		return -EINVAL;
	if (!utf8_is_text(data, size))
		return add_base64(parent, name, data, size);

	copy = strndup(size > 0 ? data : "", size);
	if (!copy)
		return -ENOMEM;
	return json_add_string(parent, name, copy);
}

int json_add_hex(struct json *parent, const char *name, const void *data, size_t size)
{
	autofree char *digits = malloc(2 * size + 1);

	if (!digits)
		return -ENOMEM;
	hex_encode(data, size, digits);
	return json_add_string(parent, name, digits);
}

static int add_container(struct json *parent, const char *name, cJSON *item,
			 struct json **child_out)
{
	int r;

	r = attach(parent, name, item);
	if (r < 0)
		return r;
	*child_out = (struct json *)item;
	return 0;
}

int json_add_object(struct json *parent, const char *name, struct json **child_out)
{
	return add_container(parent, name, cJSON_CreateObject(), child_out);
}

int json_add_array(struct json *parent, const char *name, struct json **child_out)
{
	return add_container(parent, name, cJSON_CreateArray(), child_out);
}

int json_print(const struct json *json, char **text_out)
{
	char *text = cJSON_PrintUnformatted((const cJSON *)json);

	if (!text)
		return -ENOMEM;
	*text_out = text;
	return 0;
}

int json_print_formatted(const struct json *json, char **text_out)
{
	char *text = cJSON_Print((const cJSON *)json);

	if (!text)
		return -ENOMEM;
	*text_out = text;
	return 0;
}
