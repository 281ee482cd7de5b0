/* SPDX-License-Identifier: MIT */
#include "cli/tier_options.h"

#include "base/cleanup.h"
#include "base/config_value.h"
#include "base/error.h"
#include "base/toml_shim.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 32 /* bytes, NUL included */

static void option_name(const struct config_key *key, char name[NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, "%s", key->key);
	for (char *c = name; *c; c++)
		if (*c == '_')
			*c = '-';
}

/* All patterns that were given, in place of those that there are. */
static int set_patterns(const struct options *options, const char *name,
			const struct config_key *key, struct config_tier *policy,
			struct error *err)
{
	struct toml_value value = { .kind = TOML_KIND_ARRAY };
	autofree struct toml_value *items = NULL;

	while (option_nth(options, name, value.item_count))
		value.item_count++;
	items = calloc(value.item_count + 1, sizeof(*items));
	if (!items)
		return error_set(err, -ENOMEM, "no memory for patterns");
	for (size_t i = 0; i < value.item_count; i++) {
		const char *text = option_nth(options, name, i);

		/* They are kept as JSON. */
		if (!utf8_valid(text, strlen(text)))
			return error_set(err, -EINVAL, "is not UTF-8");
		items[i].kind = TOML_KIND_STRING;
		items[i].string = text;
	}
	value.items = items;
	return config_value_set(key, policy, &value, err);
}

int tier_options_policy(const struct options *options, struct config_tier *policy,
			struct error *err)
{
	char name[NAME_SIZE];
	int r;

	for (size_t i = config_tier_policy_first; i < config_tier_key_count; i++) {
		const struct config_key *key = &config_tier_keys[i];

		option_name(key, name);
		if (!option_given(options, name))
			continue;
		if (key->type == CONFIG_PATTERNS)
			r = set_patterns(options, name, key, policy, err);
		else
			r = config_value_set_text(key, policy,
						  option_value(options, name), err);
		if (r < 0)
			return error_prefix(err, r, "--%s", name);
	}
	return config_tier_check(policy, err);
}

int tier_options_check(const struct options *options, struct error *err)
{
	struct config_tier policy = { 0 };
	int r = config_tier_init(&policy);

	/* A low without high may go with the high that the tier has. */
	if (r == 0 && option_given(options, "low") && !option_given(options, "high"))
		policy.high = 99;
	if (r == 0)
		r = tier_options_policy(options, &policy, err);
	config_tier_done(&policy);
	return r;
}
