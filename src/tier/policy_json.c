/* SPDX-License-Identifier: MIT */
/* Values are the texts that stand in config.toml, lists are arrays of these. */
#include "tier/policy_json.h"

#include "base/config_value.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/text.h"
#include "base/toml_shim.h"

#include <errno.h>
#include <string.h>

static const struct config_strings *strings_of(const struct config_key *key,
					       const struct config_tier *policy)
{
	return (const void *)((const char *)policy + key->offset);
}

static int add_strings(struct json *object, const struct config_key *key,
		       const struct config_tier *policy)
{
	const struct config_strings *strings = strings_of(key, policy);
	struct json *array;
	int r = json_add_array(object, key->key, &array);

	for (size_t i = 0; i < strings->count && r == 0; i++)
		r = json_add_string(array, NULL, strings->items[i]);
	return r;
}

/* No text of these keys has characters that TOML would escape. */
static int add_value(struct json *object, const struct config_key *key,
		     const struct config_tier *policy)
{
	autotext struct text text = { 0 };
	size_t quotes;
	int r = config_value_write(key, policy, &text);

	if (r < 0)
		return r;
	quotes = text.data[0] == '"';
	text_truncate(&text, text.size - quotes);
	return json_add_string(object, key->key, text.data + quotes);
}

int policy_json_add(struct json *parent, const char *name,
		    const struct config_tier *policy)
{
	struct json *object;
	int r = json_add_object(parent, name, &object);

	for (size_t i = config_tier_policy_first; i < config_tier_key_count && r == 0;
	     i++) {
		const struct config_key *key = &config_tier_keys[i];

		r = key->type == CONFIG_PATTERNS ? add_strings(object, key, policy)
						 : add_value(object, key, policy);
	}
	return r;
}

static int read_strings(const struct json *object, const struct config_key *key,
			struct config_tier *policy, struct error *err)
{
	autofree struct toml_value *items = NULL;
	struct toml_value value = { .kind = TOML_KIND_ARRAY };
	const struct json *array;
	int r = json_get_array(object, key->key, &array, err);

	if (r < 0)
		return r;
	items = calloc(json_count(array) + 1, sizeof(*items));
	if (!items)
		return error_set(err, -ENOMEM, "no memory for patterns");
	for (const struct json *item = json_first(array); item && r == 0;
	     item = json_next(item)) {
		struct toml_value *to = &items[value.item_count++];

		to->kind = TOML_KIND_STRING;
		r = json_get_string(item, NULL, &to->string, err);
	}
	value.items = items;
	return r < 0 ? r : config_value_set(key, policy, &value, err);
}

static int read_value(const struct json *object, const struct config_key *key,
		      struct config_tier *policy, struct error *err)
{
	const char *text;
	int r = json_get_string(object, key->key, &text, err);

	return r < 0 ? r : config_value_set_text(key, policy, text, err);
}

int policy_json_read(const struct json *object, struct config_tier *policy,
		     struct error *err)
{
	int r = 0;

	for (size_t i = config_tier_policy_first; i < config_tier_key_count && r == 0;
	     i++) {
		const struct config_key *key = &config_tier_keys[i];

		if (!json_has(object, key->key))
			continue;
		r = key->type == CONFIG_PATTERNS ? read_strings(object, key, policy, err)
						 : read_value(object, key, policy, err);
		if (r < 0 && r != -ENOMEM)
			r = error_prefix(err, -EBADMSG, "%s", key->key);
	}
	if (r == 0 && config_tier_check(policy, err) < 0)
		r = -EBADMSG;
	return r;
}
