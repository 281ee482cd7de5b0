/* SPDX-License-Identifier: MIT */
#include "cli/tier_config.h"

#include "cli/tier_enter.h"
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/config.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

static int explain(const struct config *config, const struct config_tier *table, int r,
		   struct error *err)
{
	return error_prefix(err, r, "%s:%u: [[" CONFIG_TIER_SECTION "]]",
			    config->file ? config->file : "configuration", table->line);
}

/* A folder that is covered (tier/cover.h) can't be resolved; it is known by its name. */
static int resolve_folder(const struct tier_state *state, const struct config_tier *table,
			  char **folder_out, struct error *err)
{
	if (!tier_list_find_folder(&state->list, table->directory))
		return tier_resolve(table->directory, folder_out, err);
	*folder_out = strdup(table->directory);
	return *folder_out ? 0 : error_set(err, -ENOMEM, "no memory for a path");
}

/* The entry that the table asks for. */
static int make_entry(const struct tier_state *state, const struct config *config,
		      const struct config_tier *table, struct tier_entry *entry,
		      struct error *err)
{
	const char *archive =
		table->archive[0] ? table->archive : config->archive.directory;
	autofree char *folder = NULL;
	int r = 0;

	*entry = (struct tier_entry){ 0 };
	if (!archive[0])
		r = error_set(err, -EINVAL,
			      "archive: is missing, and so is [archive] directory");
	if (r == 0)
		r = resolve_folder(state, table, &folder, err);
	if (r == 0)
		r = tier_entry_resolve(entry, folder, archive,
				       table->into[0] ? table->into : NULL, err);
	if (r == 0 && config_tier_copy(&entry->policy, table) < 0)
		r = error_set(err, -ENOMEM, "no memory for a policy");
	entry->configured = true;
	return r < 0 ? explain(config, table, r, err) : 0;
}

/* Take over what may change. Where the contents of stubs are does not. */
static int update(struct tier_entry *known, const struct tier_entry *entry,
		  struct error *err)
{
	if (strcmp(known->archive, entry->archive) != 0 ||
	    strcmp(known->into, entry->into) != 0)
		return error_set(err, -EINVAL,
				 "'%s' is a tier of another archive or path: 'tier "
				 "remove' comes first",
				 known->folder);
	known->retired = false;
	if (config_tier_copy(&known->policy, &entry->policy) < 0)
		return error_set(err, -ENOMEM, "no memory for a policy");
	return 0;
}

static int apply_table(struct tier_state *state, const struct config *config,
		       const struct config_tier *table, bool enter, struct error *err)
{
	struct tier_entry *known;
	struct tier_entry entry;
	int r = make_entry(state, config, table, &entry, err);

	if (r == 0) {
		known = tier_list_find_folder(&state->list, entry.folder);
		if (known && known->configured)
			r = update(known, &entry, err);
		else if (!known && enter)
			r = tier_enter(state, &entry, err);
		if (r < 0)
			r = explain(config, table, r, err);
	}
	tier_entry_done(&entry);
	return r;
}

int tier_config_apply(struct tier_state *state, const struct config *config, bool enter,
		      struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < state->list.count; i++)
		state->list.items[i].retired = state->list.items[i].configured;
	for (size_t i = 0; i < config->tiers.count && r == 0; i++)
		r = apply_table(state, config, &config->tiers.items[i], enter, err);
	return r == 0 && enter ? tier_list_save(state->fd, &state->list, err) : r;
}

int tier_config_visit(struct tier_state *state, const struct config *config,
		      int (*visit)(void *context, const struct tier_entry *entry,
				   bool in_use, struct error *err),
		      void *context, struct error *err)
{
	int r = tier_config_apply(state, config, false, err);

	for (size_t i = 0; i < state->list.count && r == 0; i++)
		r = visit(context, &state->list.items[i], true, err);
	for (size_t i = 0; i < config->tiers.count && r == 0; i++) {
		struct tier_entry entry;

		r = make_entry(state, config, &config->tiers.items[i], &entry, err);
		if (r == 0 && !tier_list_find_folder(&state->list, entry.folder))
			r = visit(context, &entry, false, err);
		tier_entry_done(&entry);
	}
	return r;
}
