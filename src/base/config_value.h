/* SPDX-License-Identifier: MIT */
#pragma once
/* One setting in a struct config, or in a struct config_tier, whichever the row is of: check
 * and store, copy, free, write as TOML. Threads: as the structure.
 */
#include "base/config_table.h"

struct text;
struct toml_value;

/* Store @value. -EINVAL with what is wrong, without the key's name; -ENOMEM. The old
 * value stays on failure. */
int config_value_set(const struct config_key *key, void *config,
		     const struct toml_value *value, struct error *err);

/* The same from plain text, as in an environment variable; lists are colon-separated. */
int config_value_set_text(const struct config_key *key, void *config, const char *text,
			  struct error *err);

/* Replace the value in @to by a copy of that in @from. -ENOMEM. */
int config_value_copy(const struct config_key *key, void *to, const void *from);

/* Free what the value owns and make it empty. */
void config_value_clear(const struct config_key *key, void *config);

/* Append the value as it stands behind the "=" in a file. -ENOMEM. */
int config_value_write(const struct config_key *key, const void *config,
		       struct text *text);
