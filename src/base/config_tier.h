/* SPDX-License-Identifier: MIT */
#pragma once
/* A table [[tier.folder]] of config.toml: a hot tier and its policy (docs/tier.md). A file
 * that has no [tier] may write [[tier]] instead; TOML does not allow both.
 *
 * Its keys are rows of a table of their own (config_table.h), which `tier add` and the list of tiers go by as
 * well. Threads: as struct config.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_key;
struct error;
struct text;
struct toml_entry;

#define CONFIG_TIER_SECTION "tier.folder"

struct config_strings {
	char **items; /* each NUL-terminated */
	size_t count;
};

/* Strings are owned, never NULL after config_tier_init(). */
struct config_tier {
	unsigned line; /* of its heading; 0: none */
	char *directory;
	char *archive; /* "": [archive] directory */
	char *into;    /* "": the directory's name */
	/* The policy: what becomes a stub by itself. Ages in seconds, sizes in bytes. */
	uint64_t access_age;
	uint64_t modify_age;
	uint64_t min_size;
	uint32_t high; /* percent of the file system; 0: whatever is in use */
	uint32_t low;  /* percent; 0: ten less than high */
	struct config_strings include; /* base/glob.h patterns; none: everything */
	struct config_strings exclude;
	uint64_t rate;     /* a second; 0: no limit */
	uint64_t reserve;  /* kept free for recalls */
	uint64_t interval; /* seconds between two passes; 0: none by itself */
};

struct config_tiers {
	struct config_tier *items; /* owned */
	size_t count;
};

/* All defaults. -ENOMEM. The caller calls config_tier_done() whatever happened. */
int config_tier_init(struct config_tier *tier);
void config_tier_done(struct config_tier *tier);
/* Over one that is { 0 } or filled. -ENOMEM. */
int config_tier_copy(struct config_tier *to, const struct config_tier *from);

/* Take an entry of such a table, or its heading, which begins another one. */
int config_tiers_visit(struct config_tiers *tiers, const struct toml_entry *entry,
		       struct error *err);
/* What a single key can't tell. *line_out is set to where. -EINVAL. */
int config_tiers_check(const struct config_tiers *tiers, unsigned *line_out,
		       struct error *err);
int config_tier_check(const struct config_tier *tier, struct error *err);

/* Replaces what is there. -ENOMEM. */
int config_tiers_copy(struct config_tiers *to, const struct config_tiers *from);
void config_tiers_done(struct config_tiers *tiers);

/* Append them as they stand in a file. -ENOMEM. */
int config_tiers_dump(const struct config_tiers *tiers, struct text *text);
/* Append one as a comment: every key with its help and default. -ENOMEM. */
int config_tiers_sample(struct text *text);

/* The key of the policy, or NULL. */
const struct config_key *config_tier_policy_key(const char *name);

/* The percentage at which a pass ends: low, with 0 resolved. */
unsigned config_tier_low(const struct config_tier *tier);
