/* SPDX-License-Identifier: MIT */
/* Loading works on a copy that replaces the original when all of it was good: a file that
 * is half right changes nothing. Messages are put together here, from inside out:
 * what is wrong (config_value.c), the key, the file and line.
 */
#include "base/config.h"

#include "base/cleanup.h"
#include "base/config_value.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/text.h"
#include "base/toml_shim.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define VARIABLE_NAME_MAX 64 /* bytes, NUL included */

int config_defaults(struct config *config)
{
	int r;

	for (size_t i = 0; i < config_key_count; i++) {
		r = config_value_set_text(&config_keys[i], config,
					  config_keys[i].fallback, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

void config_done(struct config *config)
{
	for (size_t i = 0; i < config_key_count; i++)
		config_value_clear(&config_keys[i], config);
	config_tiers_done(&config->tiers);
	free(config->file);
	*config = (struct config){ 0 };
}

static int config_copy(struct config *to, const struct config *from)
{
	int r;

	for (size_t i = 0; i < config_key_count; i++) {
		r = config_value_copy(&config_keys[i], to, from);
		if (r < 0)
			return r;
	}
	return config_tiers_copy(&to->tiers, &from->tiers);
}

static int visit(void *context, const struct toml_entry *entry, struct error *err)
{
	const struct config_key *key;
	struct config *config = context;
	int r;

	if (entry->repeated)
		return config_tiers_visit(&config->tiers, entry, err);
	if (entry->key && !*entry->section)
		return error_set(err, -EINVAL, "'%.64s' stands outside of any section",
				 entry->key);
	if (!config_section_exists(entry->section))
		return error_set(err, -EINVAL, "[%.64s] is not a known section",
				 entry->section);
	if (!entry->key)
		return 0;

	key = config_key_find(entry->section, entry->key);
	if (!key)
		return error_set(err, -EINVAL, "[%s] %.64s: not a known key",
				 entry->section, entry->key);
	r = config_value_set(key, config, &entry->value, err);
	return r < 0 ? error_prefix(err, r, "[%s] %s", key->section, key->key) : 0;
}

int config_parse(struct config *config, const char *file_name, const void *data,
		 size_t size, struct error *err)
{
	autoconfig struct config loaded = { 0 };
	struct config old = *config;
	unsigned line = 0;
	int r;

	if (size > CONFIG_FILE_MAX)
		return error_set(err, -EFBIG, "%s: larger than %u bytes", file_name,
				 CONFIG_FILE_MAX);
	if (config_copy(&loaded, config) < 0)
		return error_set(err, -ENOMEM, "%s: no memory", file_name);
	config_tiers_done(&loaded.tiers); /* those of the file take their place */
	r = toml_shim_parse(data, size, visit, &loaded, &line, err);
	if (r == 0)
		r = config_tiers_check(&loaded.tiers, &line, err);
	if (r < 0)
		return error_prefix(err, r, "%s:%u", file_name, line);

	loaded.file = strdup(file_name);
	if (!loaded.file)
		return error_set(err, -ENOMEM, "%s: no memory", file_name);
	*config = loaded;
	loaded = old;
	return 0;
}

int config_load_file(struct config *config, const char *path, struct error *err)
{
	autofree uint8_t *data = NULL;
	size_t size;
	int r;

	r = file_read_all(AT_FDCWD, path, CONFIG_FILE_MAX, &data, &size, err);
	if (r < 0)
		return r;
	return config_parse(config, path, data, size, err);
}

static void variable_name(const struct config_key *key, char name_out[VARIABLE_NAME_MAX])
{
	(void)snprintf(name_out, VARIABLE_NAME_MAX, "BLOCKFRAME_%s_%s", key->section,
		       key->key);
	for (char *c = name_out; *c; c++)
		*c = (char)toupper((unsigned char)*c);
}

int config_apply_environment(struct config *config, struct error *err)
{
	char name[VARIABLE_NAME_MAX];
	const char *value;
	int r;

	for (size_t i = 0; i < config_key_count; i++) {
		variable_name(&config_keys[i], name);
		value = getenv(name);
		if (!value)
			continue;
		r = config_value_set_text(&config_keys[i], config, value, err);
		if (r < 0)
			return error_prefix(err, r, "environment: %s", name);
	}
	return 0;
}

/* Help text as comment lines. */
static int write_comment(struct text *text, const char *help)
{
	int r = 0;

	while (r == 0 && *help) {
		size_t size = strcspn(help, "\n");

		r = text_appendf(text, "# %.*s\n", (int)size, help);
		help += size + (help[size] == '\n');
	}
	return r;
}

/* All settings in the order of the table, each with its help if @commented. */
static int write_all(const struct config *config, bool commented, struct text *text)
{
	const char *section = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(section, key->section) != 0)
			r = text_appendf(text, "%s[%s]\n", text->size ? "\n" : "",
					 key->section);
		section = key->section;
		if (r == 0 && commented)
			r = write_comment(text, key->help);
		if (r == 0)
			r = text_appendf(text, "%s = ", key->key);
		if (r == 0)
			r = config_value_write(key, config, text);
		if (r == 0)
			r = text_append_char(text, '\n');
	}
	return r;
}

int config_dump(const struct config *config, struct text *text)
{
	int r = write_all(config, false, text);

	return r < 0 ? r : config_tiers_dump(&config->tiers, text);
}

int config_sample(struct text *text)
{
	autoconfig struct config config = { 0 };
	int r;

	r = config_defaults(&config);
	if (r < 0)
		return r;
	r = write_comment(
		text,
		"BlockFrame's settings: every key with its default.\n"
		"A flag beats the environment (BLOCKFRAME_<SECTION>_<KEY>), which beats "
		"this file.\n"
		"Sizes: K, M, G and KiB, MiB, GiB count in 1024, KB, MB, GB in 1000.");
	if (r == 0)
		r = write_all(&config, true, text);
	return r < 0 ? r : config_tiers_sample(text);
}

uint64_t config_cache_bytes(const struct config *config)
{
	uint64_t segments = (uint64_t)config->cache.max_segments * CONFIG_SEGMENT_SIZE;

	return segments < config->cache.max_size ? segments : config->cache.max_size;
}

unsigned config_min_copies(const struct config *config)
{
	uint32_t least = config->volume.min_copies;

	return least > 0 && least < config->volume.copies ? least : config->volume.copies;
}

const char *config_code_format(const struct config_code *code,
			       char text[CONFIG_CODE_TEXT_MAX])
{
	text[0] = '\0';
	if (code->data > 0)
		(void)snprintf(text, CONFIG_CODE_TEXT_MAX, "%u+%u", code->data,
			       code->parity);
	return text;
}

unsigned config_jobs(const struct config *config)
{
	return config->limits.jobs > 0 ? config->limits.jobs : pool_default_threads();
}
