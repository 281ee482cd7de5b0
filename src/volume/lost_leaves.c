/* SPDX-License-Identifier: MIT */
#include "volume/lost_leaves.h"

#include "base/clock.h"

#define REMEMBERED_NS (UINT64_C(2) * 1000000000)

void lost_leaves_init(struct lost_leaves *lost)
{
	*lost = (struct lost_leaves){ 0 };
	mutex_init(&lost->mutex);
}

void lost_leaves_done(struct lost_leaves *lost)
{
	mutex_done(&lost->mutex);
}

/* The slot that has @leaf, or LOST_LEAVES_MAX. */
static unsigned find_locked(const struct lost_leaves *lost, const struct lost_leaf *leaf)
	requires_mutex(lost->mutex)
{
	for (unsigned i = 0; i < LOST_LEAVES_MAX; i++)
		if (lost->until[i] > 0 && lost->leaves[i].offset == leaf->offset &&
		    hash_equal(&lost->leaves[i].found, &leaf->found))
			return i;
	return LOST_LEAVES_MAX;
}

void lost_leaves_add(struct lost_leaves *lost, const struct lost_leaf *leaf)
{
	uint64_t until = clock_monotonic_ns() + REMEMBERED_NS;
	unsigned i;

	mutex_scope(&lost->mutex);
	i = find_locked(lost, leaf);
	if (i == LOST_LEAVES_MAX)
		i = lost->next++ % LOST_LEAVES_MAX;
	lost->leaves[i] = *leaf;
	lost->until[i] = until;
}

bool lost_leaves_have(struct lost_leaves *lost, const struct lost_leaf *leaf)
{
	uint64_t now = clock_monotonic_ns();
	unsigned i;

	mutex_scope(&lost->mutex);
	i = find_locked(lost, leaf);
	return i < LOST_LEAVES_MAX && lost->until[i] > now;
}

bool lost_leaves_have_at(struct lost_leaves *lost, uint64_t offset)
{
	uint64_t now = clock_monotonic_ns();

	mutex_scope(&lost->mutex);
	for (unsigned i = 0; i < LOST_LEAVES_MAX; i++)
		if (lost->until[i] > now && lost->leaves[i].offset == offset)
			return true;
	return false;
}
