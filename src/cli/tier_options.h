/* SPDX-License-Identifier: MIT */
#pragma once
/* A tier's policy as options of a command: the keys of [[tier.folder]] in config.toml. Main
 * thread.
 */
#include "cli/options.h"

struct config_tier;
struct error;

#define TIER_POLICY_OPTIONS                                                              \
	{ 0, "access-age", "TIME", "stubs: files not read for so long; default: 30d" },  \
		{ 0, "modify-age", "TIME", "and not changed for so long; default: 7d" }, \
		{ 0, "min-size", "SIZE", "and no smaller than this; default: 64KiB" },   \
		{ 0, "high", "PERCENT",                                                  \
		  "only when so much of the file system is in use; 0: always" },         \
		{ 0, "low", "PERCENT", "until so much is; 0: ten less than high" },      \
		{ 0, "include", "PATTERN", "only what matches; may be repeated", true }, \
		{ 0, "exclude", "PATTERN", "not what matches; may be repeated", true },  \
		{ 0, "rate", "SIZE", "bytes a second; 0: no limit" },                    \
		{ 0, "reserve", "SIZE", "bytes to keep free for recalls" },              \
	{                                                                                \
		0, "interval", "TIME", "how often 'tier run' makes a pass; 0s: never"    \
	}

/* Whether all that were given are right. -EINVAL with a text that names the option. */
int tier_options_check(const struct options *options, struct error *err);

/* Put what was given into *policy. -EINVAL, -ENOMEM. */
int tier_options_policy(const struct options *options, struct config_tier *policy,
			struct error *err);
