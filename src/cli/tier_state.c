/* SPDX-License-Identifier: MIT */
#include "cli/tier_state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "catalog/stub_table.h"
#include "tier/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

static int open_folder(const struct invocation *invocation, bool create, bool lock,
		       struct tier_state *state, struct error *err)
{
	int r = 0;

	state->path = invocation->config.tier.state;
	if (create)
		r = mkdir_parents(AT_FDCWD, state->path, 0700, err);
	if (r < 0)
		return r;
	state->fd = open(state->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state->fd < 0 && errno == ENOENT)
		return error_set(err, -ENOENT,
				 "there are no tiers: 'tier add' makes them");
	if (state->fd < 0)
		return error_set_errno(err, -errno, "'%s'", state->path);
	if (lock && flock(state->fd, LOCK_EX) < 0)
		return error_set_errno(err, -errno, "lock '%s'", state->path);
	return tier_list_load(state->fd, &state->list, err);
}

static int open_state(const struct invocation *invocation, bool create, bool lock,
		      struct tier_state *state_out, struct error *err)
{
	struct tier_state state = { .fd = -1 };
	int r = open_folder(invocation, create, lock, &state, err);

	if (r < 0) {
		tier_state_done(&state);
		return r;
	}
	*state_out = state;
	return 0;
}

int tier_state_open(const struct invocation *invocation, bool create,
		    struct tier_state *state_out, struct error *err)
{
	return open_state(invocation, create, false, state_out, err);
}

int tier_state_open_to_change(const struct invocation *invocation, bool create,
			      struct tier_state *state_out, struct error *err)
{
	return open_state(invocation, create, true, state_out, err);
}

void tier_state_done(struct tier_state *state)
{
	tier_list_done(&state->list);
	if (state->path)
		cleanup_close_p(&state->fd);
	*state = (struct tier_state){ 0 };
}

/* Whether an earlier tier has the same table. */
static bool is_known(const struct tier_list *list, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (memcmp(&list->items[i].uuid, &list->items[index].uuid,
			   sizeof(struct tier_uuid)) == 0)
			return true;
	return false;
}

int tier_state_visit_tables(const struct tier_state *state,
			    int (*visit)(void *context, struct stub_table *table,
					 const struct tier_entry *tier,
					 struct error *err),
			    void *context, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < state->list.count && r >= 0; i++) {
		const struct tier_entry *tier = &state->list.items[i];
		autoptr(stub_table) table = NULL;

		if (is_known(&state->list, i))
			continue;
		r = tier_table_open(state->path, &tier->uuid, false, &table, err);
		if (r == 0)
			r = visit(context, table, tier, err);
	}
	return r < 0 ? r : 0;
}

static int add_totals(void *context, struct stub_table *table,
		      const struct tier_entry *tier, struct error *err)
{
	uint64_t *totals = context;
	uint64_t count, size;
	int r = stub_table_totals(table, &count, &size, err);

	(void)tier;
	if (r < 0)
		return r;
	totals[0] += count;
	totals[1] += size;
	return 0;
}

int tier_state_count(const struct tier_state *state, uint64_t *count_out,
		     uint64_t *size_out, struct error *err)
{
	uint64_t totals[2] = { 0 };
	int r = tier_state_visit_tables(state, add_totals, totals, err);

	if (r < 0)
		return r;
	*count_out = totals[0];
	*size_out = totals[1];
	return 0;
}

int tier_resolve(const char *path, char **path_out, struct error *err)
{
	char *resolved = realpath(path, NULL);

	if (!resolved)
		return error_set_errno(err, -errno, "'%s'", path);
	*path_out = resolved;
	return 0;
}
