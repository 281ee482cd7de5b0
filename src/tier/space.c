/* SPDX-License-Identifier: MIT */
#include "tier/space.h"

#include "base/error.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

void space_init(struct space *space)
{
	mutex_init(&space->mutex);
	space->claims = NULL;
}

void space_done(struct space *space)
{
	mutex_done(&space->mutex);
}

static uint64_t claimed_locked(const struct space *space, dev_t device)
	requires_mutex(space->mutex)
{
	uint64_t size = 0;

	for (const struct space_claim *i = space->claims; i; i = i->next)
		if (i->device == device)
			size += i->left;
	return size;
}

int space_take(struct space *space, int fd, uint64_t size, uint64_t spare,
	       struct space_claim *claim, struct error *err)
{
	struct statvfs room;
	struct stat stat;
	uint64_t wanted = size + spare;

	mutex_scope(&space->mutex);
	/* Not before: what is written meanwhile is claimed no more. */
	if (fstatvfs(fd, &room) < 0 || fstat(fd, &stat) < 0)
		return error_set_errno(err, -errno, "free space");
	if (wanted > 0 && (uint64_t)room.f_bavail * room.f_frsize <
				  wanted + claimed_locked(space, stat.st_dev))
		return error_set(err, -ENOSPC, "no room to recall it");
	*claim = (struct space_claim){
		.space = space, .next = space->claims, .device = stat.st_dev, .left = size
	};
	space->claims = claim;
	return 0;
}

void space_keep(struct space_claim *claim, uint64_t left)
{
	mutex_scope(&claim->space->mutex);
	if (left < claim->left)
		claim->left = left;
}

void space_give_back(struct space_claim *claim)
{
	struct space_claim **place;

	mutex_scope(&claim->space->mutex);
	place = &claim->space->claims;
	while (*place != claim)
		place = &(*place)->next;
	*place = claim->next;
}
