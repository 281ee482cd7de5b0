/* SPDX-License-Identifier: MIT */
#include "tier/covering.h"

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/error.h"
#include "base/log.h"
#include "tier/cover.h"
#include "tier/guard.h"
#include "tier/handle.h"
#include "tier/tier.h"
#include "tier/tier_list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A cover on a folder whose file system is not mounted would be beneath it later on. */
static int check_mounted(const struct tier_entry *tier, struct error *err)
{
	autoclose int fd = open(tier->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tier_uuid uuid;

	if (fd < 0)
		return error_set_errno(err, -errno, "'%s'", tier->folder);
	if (tier_uuid_get(fd, &uuid, NULL) < 0 ||
	    memcmp(&uuid, &tier->uuid, sizeof(uuid)) != 0)
		return error_set(err, -ESTALE, "the file system of '%s' is not mounted",
				 tier->folder);
	return 0;
}

static int lay(const struct tier_entry *tier, struct error *err)
{
	int r;

	if (cover_is_on(tier->folder))
		return 0;
	r = check_mounted(tier, err);
	if (r == 0)
		r = cover_lay(tier->folder, err);
	if (r == -ENODEV)
		log_error("%s; UNTIL IT IS GUARDED, STUBS READ AS ZEROES", err->text);
	else if (r < 0)
		log_error("%s", err->text);
	crash_point("tier.cover.laid");
	return r;
}

static int visit(int state_fd,
		 int (*function)(const struct tier_entry *tier, struct error *err),
		 struct error *err)
{
	struct tier_list list = { 0 };
	int result = tier_list_load(state_fd, &list, err);

	for (size_t i = 0; i < list.count; i++) {
		int r = function(&list.items[i], err);

		if (r < 0)
			result = r;
	}
	tier_list_done(&list);
	return result;
}

int covering_lay(int state_fd, struct error *err)
{
	return visit(state_fd, lay, err);
}

static int lift(const struct tier_entry *tier, struct error *err)
{
	return cover_lift(tier->folder, err);
}

int covering_lift(int state_fd, struct error *err)
{
	return visit(state_fd, lift, err);
}

int covering_lay_unguarded(int state_fd, bool *guarded_out, struct error *err)
{
	uint64_t waiting;
	int r;

	*guarded_out = guard_is_active(state_fd, &waiting);
	if (*guarded_out)
		return 0;
	crash_point("tier.cover.wanted");
	r = covering_lay(state_fd, err);
	*guarded_out = guard_is_active(state_fd, &waiting);
	return *guarded_out ? covering_lift(state_fd, err) : r;
}

/* The folder was opened beneath a cover, by a mount that nobody sees. */
static int open_again(struct tier *tier, struct error *err)
{
	autoclose int fd = open(tier->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat now, before;

	if (fd < 0 || fstat(fd, &now) < 0 || fstat(tier->root_fd, &before) < 0)
		return error_set_errno(err, -errno, "'%s'", tier->folder);
	if (now.st_dev != before.st_dev || now.st_ino != before.st_ino)
		return error_set(err, -ESTALE, "'%s' is another folder now",
				 tier->folder);
	if (dup3(fd, tier->root_fd, O_CLOEXEC) < 0)
		return error_set_errno(err, -errno, "'%s'", tier->folder);
	tier->beneath = false;
	return 0;
}

void covering_lift_tiers(struct tiers *tiers)
{
	for (size_t i = 0; i < tiers->count; i++) {
		struct error err = { 0 };
		int r = cover_lift(tiers->items[i].folder, &err);

		crash_point("tier.cover.lifted");
		if (r == 0 && tiers->items[i].beneath)
			r = open_again(&tiers->items[i], &err);
		if (r < 0)
			log_error("%s", err.text);
	}
}
