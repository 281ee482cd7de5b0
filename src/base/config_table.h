/* SPDX-License-Identifier: MIT */
#pragma once
/* The table of all settings: what reads, checks, copies, dumps and documents them goes
 * over its rows. To add a setting, add a field to struct config and a row here.
 * Threads: constant.
 */
#include "base/config.h"

enum config_type {
	CONFIG_STRING,   /* char *; min is its least length in bytes */
	CONFIG_PATTERNS, /* struct config_strings of well-formed base/glob.h patterns */
	CONFIG_PATHS,    /* struct config_strings, none of them empty */
	CONFIG_ORIGINS,  /* struct config_strings of origins: "https://example.org" */
	CONFIG_U32,      /* uint32_t from min to max */
	CONFIG_I32,      /* int32_t from min to max */
	CONFIG_SIZE,     /* uint64_t, bytes from min to max */
	CONFIG_DURATION, /* uint64_t, seconds from min to max */
	CONFIG_BOOL,     /* bool */
	CONFIG_CHOICE,   /* uint32_t, the index of one of the choices */
	CONFIG_CODE,     /* struct config_code */
};

struct config_key {
	const char *section;
	const char *key;
	size_t offset; /* of the field in struct config, or struct config_tier */
	enum config_type type;
	int64_t min;
	int64_t max;
	uint32_t multiple;          /* CONFIG_SIZE: of this many bytes, 0: any */
	bool power_of_two;          /* CONFIG_SIZE */
	const char *const *choices; /* CONFIG_CHOICE: names, NULL at the end */
	const char *fallback;       /* the default, as in an environment variable */
	const char *help; /* for the sample file; lines are wrapped at 90 columns */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* The same of a struct config_tier; from config_tier_policy_first on it is the policy. */
extern const struct config_key config_tier_keys[];
extern const size_t config_tier_key_count;
extern const size_t config_tier_policy_first;

/* The row, or NULL. */
const struct config_key *config_key_find(const char *section, const char *key);

bool config_section_exists(const char *section);
