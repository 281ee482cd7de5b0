/* SPDX-License-Identifier: MIT */
#include "base/config_tier.h"

#include "base/config_value.h"
#include "base/text.h"
#include "base/toml_shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY(key_)                                     \
	.section = CONFIG_TIER_SECTION, .key = #key_, \
	.offset = offsetof(struct config_tier, key_)

#define AGE_MAX (100ll * 365 * 86400) /* seconds */
#define LOW_BELOW_HIGH 10u            /* percent */

/* The sample and the dump follow this order. */
const struct config_key config_tier_keys[] = {
	{
		KEY(directory),
		.type = CONFIG_STRING,
		.min = 1,
		.fallback = "/",
		.help = "The folder, absolute: its files can become stubs.",
	},
	{
		KEY(archive),
		.type = CONFIG_STRING,
		.fallback = "",
		.help = "The archive that gets their contents, absolute; empty: "
			"[archive] directory.",
	},
	{
		KEY(into),
		.type = CONFIG_STRING,
		.fallback = "",
		.help = "Where its files are in the archive; empty: the folder's name.",
	},
	{
		KEY(access_age),
		.type = CONFIG_DURATION,
		.max = AGE_MAX,
		.fallback = "30d",
		.help = "How long a file was not read before it becomes a stub by "
			"itself. Where access\n"
			"times are not kept (noatime), only recalls count.",
	},
	{
		KEY(modify_age),
		.type = CONFIG_DURATION,
		.max = AGE_MAX,
		.fallback = "7d",
		.help = "How long it was not changed.",
	},
	{
		KEY(min_size),
		.type = CONFIG_SIZE,
		.min = 1,
		.max = INT64_MAX,
		.fallback = "64KiB",
		.help = "Smaller files stay.",
	},
	{
		KEY(high),
		.type = CONFIG_U32,
		.max = 99,
		.fallback = "0",
		.help = "Only when so many percent of the file system are in use: the "
			"oldest and largest files\n"
			"first, until it is no more than low. 0: all files that are old "
			"enough.",
	},
	{
		KEY(low),
		.type = CONFIG_U32,
		.max = 99,
		.fallback = "0",
		.help = "0: ten percent less than high.",
	},
	{
		KEY(include),
		.type = CONFIG_PATTERNS,
		.fallback = "",
		.help = "Only what matches one of these patterns, which are as in "
			"[commit] exclude.",
	},
	{
		KEY(exclude),
		.type = CONFIG_PATTERNS,
		.fallback = "",
		.help = "What matches one of these stays.",
	},
	{
		KEY(rate),
		.type = CONFIG_SIZE,
		.max = INT64_MAX,
		.fallback = "0",
		.help = "Bytes a second that a pass goes through at most; 0: no limit.",
	},
	{
		KEY(reserve),
		.type = CONFIG_SIZE,
		.max = INT64_MAX,
		.fallback = "0",
		.help = "Bytes to keep free for recalls: with less, passes go on as if "
			"high was reached.",
	},
	{
		KEY(interval),
		.type = CONFIG_DURATION,
		.max = AGE_MAX,
		.fallback = "0s",
		.help = "How often 'blockframe tier run' makes a pass; 0s: only "
			"'blockframe tier scan' does.",
	},
};

const size_t config_tier_key_count =
	sizeof(config_tier_keys) / sizeof(config_tier_keys[0]);
const size_t config_tier_policy_first = 3;

static const struct config_key *find(const char *name, size_t first)
{
	for (size_t i = first; i < config_tier_key_count; i++)
		if (strcmp(config_tier_keys[i].key, name) == 0)
			return &config_tier_keys[i];
	return NULL;
}

const struct config_key *config_tier_policy_key(const char *name)
{
	return find(name, config_tier_policy_first);
}

int config_tier_init(struct config_tier *tier)
{
	int r = 0;

	*tier = (struct config_tier){ 0 };
	for (size_t i = 0; i < config_tier_key_count && r == 0; i++)
		r = config_value_set_text(&config_tier_keys[i], tier,
					  config_tier_keys[i].fallback, NULL);
	return r;
}

void config_tier_done(struct config_tier *tier)
{
	for (size_t i = 0; i < config_tier_key_count; i++)
		config_value_clear(&config_tier_keys[i], tier);
}

int config_tier_copy(struct config_tier *to, const struct config_tier *from)
{
	int r = 0;

	for (size_t i = 0; i < config_tier_key_count && r == 0; i++)
		r = config_value_copy(&config_tier_keys[i], to, from);
	to->line = from->line;
	return r;
}

unsigned config_tier_low(const struct config_tier *tier)
{
	if (tier->low > 0)
		return tier->low;
	return tier->high > LOW_BELOW_HIGH ? tier->high - LOW_BELOW_HIGH : 0;
}

/* ---- files ---- */

static int begin_tier(struct config_tiers *tiers, unsigned line, struct error *err)
{
	struct config_tier *items =
		reallocarray(tiers->items, tiers->count + 1, sizeof(*items));
	int r;

	if (!items)
		return error_set(err, -ENOMEM, "no memory");
	tiers->items = items;
	r = config_tier_init(&items[tiers->count++]);
	items[tiers->count - 1].line = line;
	return r < 0 ? error_set(err, r, "no memory") : 0;
}

int config_tiers_visit(struct config_tiers *tiers, const struct toml_entry *entry,
		       struct error *err)
{
	const struct config_key *key;
	int r;

	if (strcmp(entry->section, CONFIG_TIER_SECTION) != 0 &&
	    strcmp(entry->section, "tier") != 0)
		return error_set(err, -EINVAL, "[[%.64s]] is not a known table",
				 entry->section);
	if (!entry->key)
		return begin_tier(tiers, entry->line, err);
	key = find(entry->key, 0);
	if (!key)
		return error_set(err, -EINVAL, "[[%s]] %.64s: not a known key",
				 entry->section, entry->key);
	r = config_value_set(key, &tiers->items[tiers->count - 1], &entry->value, err);
	return r < 0 ? error_prefix(err, r, "[[%s]] %s", entry->section, key->key) : 0;
}

int config_tier_check(const struct config_tier *tier, struct error *err)
{
	if (tier->high > 0 && tier->low >= tier->high)
		return error_set(err, -EINVAL, "low: must be less than high");
	if (tier->high == 0 && tier->low > 0)
		return error_set(err, -EINVAL, "low: means nothing without high");
	return 0;
}

static int check_tier(const struct config_tiers *tiers, size_t index, struct error *err)
{
	const struct config_tier *tier = &tiers->items[index];

	if (strcmp(tier->directory, "/") == 0)
		return error_set(err, -EINVAL, "directory: is missing");
	if (tier->directory[0] != '/')
		return error_set(err, -EINVAL, "directory: must be absolute");
	if (tier->archive[0] && tier->archive[0] != '/')
		return error_set(err, -EINVAL, "archive: must be absolute");
	for (size_t i = 0; i < index; i++)
		if (strcmp(tiers->items[i].directory, tier->directory) == 0)
			return error_set(err, -EINVAL, "directory: '%s' comes twice",
					 tier->directory);
	return config_tier_check(tier, err);
}

int config_tiers_check(const struct config_tiers *tiers, unsigned *line_out,
		       struct error *err)
{
	for (size_t i = 0; i < tiers->count; i++) {
		int r = check_tier(tiers, i, err);

		if (r == 0)
			continue;
		*line_out = tiers->items[i].line;
		return error_prefix(err, r, "[[%s]]", CONFIG_TIER_SECTION);
	}
	return 0;
}

void config_tiers_done(struct config_tiers *tiers)
{
	for (size_t i = 0; i < tiers->count; i++)
		config_tier_done(&tiers->items[i]);
	free(tiers->items);
	*tiers = (struct config_tiers){ 0 };
}

int config_tiers_copy(struct config_tiers *to, const struct config_tiers *from)
{
	struct config_tiers copy = { 0 };
	int r = 0;

	copy.items = calloc(from->count + 1, sizeof(*copy.items));
	if (!copy.items)
		return -ENOMEM;
	while (copy.count < from->count && r == 0) {
		r = config_tier_copy(&copy.items[copy.count], &from->items[copy.count]);
		copy.count++;
	}
	if (r < 0) {
		config_tiers_done(&copy);
		return r;
	}
	config_tiers_done(to);
	*to = copy;
	return 0;
}

int config_tiers_dump(const struct config_tiers *tiers, struct text *text)
{
	int r = 0;

	for (size_t n = 0; n < tiers->count && r == 0; n++) {
		r = text_append(text, "\n[[" CONFIG_TIER_SECTION "]]\n");
		for (size_t i = 0; i < config_tier_key_count && r == 0; i++) {
			const struct config_key *key = &config_tier_keys[i];

			r = text_appendf(text, "%s = ", key->key);
			if (r == 0)
				r = config_value_write(key, &tiers->items[n], text);
			if (r == 0)
				r = text_append_char(text, '\n');
		}
	}
	return r;
}

static int sample_help(struct text *text, const char *help)
{
	int r = 0;

	while (r == 0 && *help) {
		size_t size = strcspn(help, "\n");

		r = text_appendf(text, "#   %.*s\n", (int)size, help);
		help += size + (help[size] == '\n');
	}
	return r;
}

int config_tiers_sample(struct text *text)
{
	struct config_tier tier = { 0 };
	int r = config_tier_init(&tier);

	if (r == 0)
		r = config_value_set_text(&config_tier_keys[0], &tier, "/home/hot", NULL);
	if (r == 0)
		r = text_append(text, "\n# A table for each hot tier, beside those of "
				      "'blockframe tier add'. In a file without [tier],\n"
				      "# [[tier]] will do.\n#\n# [[" CONFIG_TIER_SECTION
				      "]]\n");
	for (size_t i = 0; i < config_tier_key_count && r == 0; i++) {
		const struct config_key *key = &config_tier_keys[i];

		r = sample_help(text, key->help);
		if (r == 0)
			r = text_appendf(text, "# %s = ", key->key);
		if (r == 0)
			r = config_value_write(key, &tier, text);
		if (r == 0)
			r = text_append_char(text, '\n');
	}
	config_tier_done(&tier);
	return r;
}
