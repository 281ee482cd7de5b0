/* SPDX-License-Identifier: MIT */
/* A value comes as TOML or as text; text is turned into the TOML value that it stands for,
 * so that there is one check for both. Fields are reached through the offset in the key's
 * row, with one accessor for each C type.
 */
#include "base/config_value.h"

#include "base/cleanup.h"
#include "base/glob.h"
#include "base/number.h"
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "base/toml_shim.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>

static void *field(const struct config_key *key, void *config)
{
	return (char *)config + key->offset;
}

static const void *const_field(const struct config_key *key, const void *config)
{
	return (const char *)config + key->offset;
}

static void strings_free(struct config_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct config_strings){ 0 };
}

#define autostrings __attribute__((__cleanup__(strings_free)))

static int set_string(const struct config_key *key, void *config, const char *string,
		      struct error *err)
{
	char **place = field(key, config);
	char *copy;

	if (!utf8_valid(string, strlen(string)))
		return error_set(err, -EINVAL, "is not UTF-8");
	if (strlen(string) < (size_t)key->min)
		return error_set(err, -EINVAL, "must not be empty");
	copy = strdup(string);
	if (!copy)
		return error_set(err, -ENOMEM, "no memory");
	free(*place);
	*place = copy;
	return 0;
}

static int set_integer(const struct config_key *key, void *config, int64_t value,
		       struct error *err)
{
	if (value < key->min || value > key->max)
		return error_set(err, -EINVAL, "%lld is not between %lld and %lld",
				 (long long)value, (long long)key->min,
				 (long long)key->max);
	if (key->type == CONFIG_I32)
		*(int32_t *)field(key, config) = (int32_t)value;
	else
		*(uint32_t *)field(key, config) = (uint32_t)value;
	return 0;
}

static int set_size(const struct config_key *key, void *config, uint64_t size,
		    struct error *err)
{
	char text[SIZE_TEXT_MAX];
	char low[SIZE_TEXT_MAX];
	char high[SIZE_TEXT_MAX];

	(void)size_format_exact(size, text);
	if (size < (uint64_t)key->min || size > (uint64_t)key->max)
		return error_set(err, -EINVAL, "%s is not between %s and %s", text,
				 size_format_exact((uint64_t)key->min, low),
				 size_format_exact((uint64_t)key->max, high));
	if (key->multiple > 0 && size % key->multiple != 0)
		return error_set(err, -EINVAL, "%s is not a multiple of %u bytes", text,
				 key->multiple);
	if (key->power_of_two && (size & (size - 1)) != 0)
		return error_set(err, -EINVAL, "%s is not a power of two", text);
	*(uint64_t *)field(key, config) = size;
	return 0;
}

static int set_size_text(const struct config_key *key, void *config, const char *text,
			 struct error *err)
{
	uint64_t size;
	int r;

	r = size_parse(text, &size);
	if (r < 0)
		return error_set(err, -EINVAL, "'%.64s' is not a size such as \"256MiB\"",
				 text);
	return set_size(key, config, size, err);
}

/* Whole seconds. */
static int set_duration(const struct config_key *key, void *config, const char *text,
			struct error *err)
{
	uint64_t duration;

	if (duration_parse(text, &duration) < 0 || duration % NS_PER_SECOND != 0)
		return error_set(err, -EINVAL,
				 "'%.64s' is not a duration such as \"30d\"", text);
	duration /= NS_PER_SECOND;
	if (duration < (uint64_t)key->min || duration > (uint64_t)key->max)
		return error_set(err, -EINVAL, "%s is not between %llds and %llds", text,
				 (long long)key->min, (long long)key->max);
	*(uint64_t *)field(key, config) = duration;
	return 0;
}

static int set_choice(const struct config_key *key, void *config, const char *name,
		      struct error *err)
{
	autotext struct text names = { 0 };
	int r = 0;

	for (uint32_t i = 0; key->choices[i]; i++) {
		if (strcmp(key->choices[i], name) == 0) {
			*(uint32_t *)field(key, config) = i;
			return 0;
		}
		if (r == 0)
			r = text_appendf(&names, "%s\"%s\"", i ? ", " : "",
					 key->choices[i]);
	}
	return error_set(err, -EINVAL, "'%.64s' is not one of %s", name,
			 text_string(&names));
}

/* As browsers send it: "https://example.org", "http://localhost:3000". */
static int check_origin(const char *text, struct error *err)
{
	const char *host = strstr(text, "://");

	if (host && host > text && host[3] &&
	    strspn(text, "abcdefghijklmnopqrstuvwxyz+-.") == (size_t)(host - text) &&
	    strspn(host + 3, "abcdefghijklmnopqrstuvwxyz0123456789-._:[]") ==
		    strlen(host + 3))
		return 0;
	return error_set(err, -EINVAL,
			 "'%.64s' is not an origin such as \"https://example.org\"",
			 text);
}

/* "K+P" with both in range; an empty text is none. */
static int set_code(const struct config_key *key, void *config, const char *text,
		    struct error *err)
{
	struct config_code *place = field(key, config);
	const char *plus = strchr(text, '+');
	char data[NUMBER_TEXT_MAX] = { 0 };
	uint64_t k = 0, p = 0;

	if (!*text) {
		*place = (struct config_code){ 0 };
		return 0;
	}
	if (!plus || (size_t)(plus - text) >= sizeof(data))
		return error_set(err, -EINVAL, "'%.64s' is not a code such as \"4+2\"",
				 text);
	memcpy(data, text, (size_t)(plus - text));
	if (number_parse_u64(data, &k) < 0 || number_parse_u64(plus + 1, &p) < 0)
		return error_set(err, -EINVAL, "'%.64s' is not a code such as \"4+2\"",
				 text);
	if (k < 1 || k > CONFIG_CODE_DATA_MAX || p < 1 || p > CONFIG_CODE_PARITY_MAX)
		return error_set(err, -EINVAL, "'%.64s' is not between 1+1 and %u+%u",
				 text, CONFIG_CODE_DATA_MAX, CONFIG_CODE_PARITY_MAX);
	*place = (struct config_code){ (uint32_t)k, (uint32_t)p };
	return 0;
}

/* What each string of a list must be. */
static int check_item(const struct config_key *key, const char *string, struct error *err)
{
	if (key->type == CONFIG_PATTERNS)
		return glob_check(string, err);
	if (key->type == CONFIG_ORIGINS)
		return check_origin(string, err);
	if (!utf8_valid(string, strlen(string)))
		return error_set(err, -EINVAL, "is not UTF-8");
	return *string ? 0 : error_set(err, -EINVAL, "must not be empty");
}

static int set_strings(const struct config_key *key, void *config,
		       const struct toml_value *list, struct error *err)
{
	autostrings struct config_strings strings = { 0 };
	struct config_strings *place = field(key, config);
	struct config_strings old = *place;
	int r;

	strings.items = calloc(list->item_count + 1, sizeof(*strings.items));
	if (!strings.items)
		return error_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < list->item_count; i++) {
		const struct toml_value *item = &list->items[i];

		if (item->kind != TOML_KIND_STRING)
			return error_set(err, -EINVAL, "wants a list of strings");
		r = check_item(key, item->string, err);
		if (r < 0)
			return r;
		strings.items[i] = strdup(item->string);
		if (!strings.items[i])
			return error_set(err, -ENOMEM, "no memory");
		strings.count++;
	}
	*place = strings;
	strings = old;
	return 0;
}

static int wrong_type(const char *wanted, struct error *err)
{
	return error_set(err, -EINVAL, "wants %s", wanted);
}

int config_value_set(const struct config_key *key, void *config,
		     const struct toml_value *value, struct error *err)
{
	bool is_string = value->kind == TOML_KIND_STRING;

	switch (key->type) {
	case CONFIG_STRING:
		return is_string ? set_string(key, config, value->string, err)
				 : wrong_type("a string", err);
	case CONFIG_PATTERNS:
	case CONFIG_PATHS:
	case CONFIG_ORIGINS:
		return value->kind == TOML_KIND_ARRAY
			       ? set_strings(key, config, value, err)
			       : wrong_type("a list of strings", err);
	case CONFIG_U32:
	case CONFIG_I32:
		return value->kind == TOML_KIND_INTEGER
			       ? set_integer(key, config, value->integer, err)
			       : wrong_type("a whole number", err);
	case CONFIG_SIZE:
		if (value->kind == TOML_KIND_INTEGER && value->integer >= 0)
			return set_size(key, config, (uint64_t)value->integer, err);
		return is_string ? set_size_text(key, config, value->string, err)
				 : wrong_type("a size such as \"256MiB\"", err);
	case CONFIG_DURATION:
		return is_string ? set_duration(key, config, value->string, err)
				 : wrong_type("a duration such as \"30d\"", err);
	case CONFIG_BOOL:
		if (value->kind != TOML_KIND_BOOL)
			return wrong_type("true or false", err);
		*(bool *)field(key, config) = value->boolean;
		return 0;
	case CONFIG_CHOICE:
		return is_string ? set_choice(key, config, value->string, err)
				 : wrong_type("a string", err);
	case CONFIG_CODE:
		return is_string ? set_code(key, config, value->string, err)
				 : wrong_type("a code such as \"4+2\"", err);
	}
	return wrong_type("nothing that this program knows", err);
}

/* Split @list at colons, or where these may stand in an item at spaces, in place, and store
 * the parts. Empty parts are left out. */
static int set_list(const struct config_key *key, void *config, char *list,
		    struct error *err)
{
	autofree struct toml_value *items = calloc(strlen(list) + 1, sizeof(*items));
	struct toml_value value = { .kind = TOML_KIND_ARRAY, .items = items };
	char *part;

	if (!items)
		return error_set(err, -ENOMEM, "no memory");
	while ((part = strsep(&list, key->type == CONFIG_ORIGINS ? " " : ":"))) {
		if (*part)
			items[value.item_count++] = (struct toml_value){
				.kind = TOML_KIND_STRING,
				.string = part,
			};
	}
	return config_value_set(key, config, &value, err);
}

int config_value_set_text(const struct config_key *key, void *config, const char *text,
			  struct error *err)
{
	struct toml_value value = { .kind = TOML_KIND_STRING, .string = text };
	autofree char *list = NULL;

	switch (key->type) {
	case CONFIG_U32:
	case CONFIG_I32:
		value.kind = TOML_KIND_INTEGER;
		if (number_parse_i64(text, &value.integer) < 0)
			return error_set(err, -EINVAL, "'%.64s' is not a whole number",
					 text);
		break;
	case CONFIG_BOOL:
		value.kind = TOML_KIND_BOOL;
		value.boolean = strcmp(text, "true") == 0;
		if (!value.boolean && strcmp(text, "false") != 0)
			return error_set(err, -EINVAL, "'%.64s' is not true or false",
					 text);
		break;
	case CONFIG_PATTERNS:
	case CONFIG_PATHS:
	case CONFIG_ORIGINS:
		list = strdup(text);
		if (!list)
			return error_set(err, -ENOMEM, "no memory");
		return set_list(key, config, list, err);
	case CONFIG_STRING:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
	case CONFIG_CHOICE:
	case CONFIG_CODE:
		break;
	}
	return config_value_set(key, config, &value, err);
}

static int copy_strings(struct config_strings *to, const struct config_strings *from)
{
	autostrings struct config_strings copy = { 0 };
	struct config_strings old = *to;

	copy.items = calloc(from->count + 1, sizeof(*copy.items));
	if (!copy.items)
		return -ENOMEM;
	for (; copy.count < from->count; copy.count++) {
		copy.items[copy.count] = strdup(from->items[copy.count]);
		if (!copy.items[copy.count])
			return -ENOMEM;
	}
	*to = copy;
	copy = old;
	return 0;
}

static int copy_string(char **to, const char *from)
{
	char *copy = strdup(from ? from : "");

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

int config_value_copy(const struct config_key *key, void *to, const void *from)
{
	switch (key->type) {
	case CONFIG_STRING:
		return copy_string(field(key, to),
				   *(char *const *)const_field(key, from));
	case CONFIG_PATTERNS:
	case CONFIG_PATHS:
	case CONFIG_ORIGINS:
		return copy_strings(field(key, to), const_field(key, from));
	case CONFIG_U32:
	case CONFIG_I32:
	case CONFIG_CHOICE:
		memcpy(field(key, to), const_field(key, from), sizeof(uint32_t));
		return 0;
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		memcpy(field(key, to), const_field(key, from), sizeof(uint64_t));
		return 0;
	case CONFIG_BOOL:
		memcpy(field(key, to), const_field(key, from), sizeof(bool));
		return 0;
	case CONFIG_CODE:
		memcpy(field(key, to), const_field(key, from),
		       sizeof(struct config_code));
		return 0;
	}
	return 0;
}

void config_value_clear(const struct config_key *key, void *config)
{
	char **string;

	if (key->type == CONFIG_PATTERNS || key->type == CONFIG_PATHS ||
	    key->type == CONFIG_ORIGINS)
		strings_free(field(key, config));
	if (key->type != CONFIG_STRING)
		return;
	string = field(key, config);
	free(*string);
	*string = NULL;
}

/* In the largest unit that gives it exactly: "30d". */
static int write_duration(struct text *text, uint64_t seconds)
{
	static const struct {
		uint64_t size; /* seconds */
		char name;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	while (seconds % units[i].size != 0 || (seconds == 0 && units[i].size > 1))
		i++;
	return text_appendf(text, "\"%llu%c\"",
			    (unsigned long long)(seconds / units[i].size), units[i].name);
}

/* A TOML basic string. */
static int write_string(struct text *text, const char *string)
{
	int r;

	r = text_append_char(text, '"');
	for (const char *c = string; r == 0 && *c; c++) {
		if (*c == '"' || *c == '\\')
			r = text_appendf(text, "\\%c", *c);
		else if ((unsigned char)*c < 0x20 || *c == 0x7f)
			r = text_appendf(text, "\\u%04x", (unsigned char)*c);
		else
			r = text_append_char(text, *c);
	}
	return r < 0 ? r : text_append_char(text, '"');
}

static int write_strings(struct text *text, const struct config_strings *strings)
{
	int r;

	r = text_append_char(text, '[');
	for (size_t i = 0; r == 0 && i < strings->count; i++) {
		if (i > 0)
			r = text_append(text, ", ");
		if (r == 0)
			r = write_string(text, strings->items[i]);
	}
	return r < 0 ? r : text_append_char(text, ']');
}

int config_value_write(const struct config_key *key, const void *config,
		       struct text *text)
{
	const void *value = const_field(key, config);
	char size[SIZE_TEXT_MAX];
	char code[CONFIG_CODE_TEXT_MAX];

	switch (key->type) {
	case CONFIG_STRING:
		return write_string(text, *(char *const *)value);
	case CONFIG_PATTERNS:
	case CONFIG_PATHS:
	case CONFIG_ORIGINS:
		return write_strings(text, value);
	case CONFIG_U32:
		return text_appendf(text, "%u", *(const uint32_t *)value);
	case CONFIG_I32:
		return text_appendf(text, "%d", *(const int32_t *)value);
	case CONFIG_SIZE:
		return write_string(text,
				    size_format_exact(*(const uint64_t *)value, size));
	case CONFIG_DURATION:
		return write_duration(text, *(const uint64_t *)value);
	case CONFIG_BOOL:
		return text_append(text, *(const bool *)value ? "true" : "false");
	case CONFIG_CHOICE:
		return write_string(text, key->choices[*(const uint32_t *)value]);
	case CONFIG_CODE:
		return write_string(text, config_code_format(value, code));
	}
	return 0;
}
