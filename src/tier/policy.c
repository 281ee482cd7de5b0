/* SPDX-License-Identifier: MIT */
#include "tier/policy.h"

#include "base/config_tier.h"
#include "base/glob.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define BLOCK 512 /* bytes: the unit of st_blocks */

static const char *const names[POLICY_SKIPS] = {
	[POLICY_TAKE] = "taken",
	[POLICY_SMALL] = "small",
	[POLICY_YOUNG] = "young",
	[POLICY_EXCLUDED] = "excluded",
	[POLICY_PINNED] = "pinned",
	[POLICY_ENOUGH] = "enough",
	[POLICY_STUB] = "stub",
	[POLICY_SPARSE] = "sparse",
	[POLICY_LINKED] = "linked",
	[POLICY_IMMUTABLE] = "immutable",
	[POLICY_CAPABILITIES] = "capabilities",
	[POLICY_SPECIAL] = "special",
	[POLICY_IN_USE] = "in_use",
	[POLICY_CHANGED] = "changed",
	[POLICY_GONE] = "gone",
	[POLICY_FAILED] = "failed",
};

const char *policy_skip_name(enum policy_skip skip)
{
	return names[skip];
}

bool policy_skip_parse(const char *name, enum policy_skip *skip_out)
{
	for (enum policy_skip i = 0; i < POLICY_SKIPS; i++) {
		if (strcmp(names[i], name) == 0) {
			*skip_out = i;
			return true;
		}
	}
	return false;
}

/* Seconds; times in the future are now. */
static uint64_t age(const struct timespec *time, int64_t now)
{
	return time->tv_sec < now ? (uint64_t)(now - time->tv_sec) : 0;
}

enum policy_skip policy_judge(const struct config_tier *policy, const struct stat *stat,
			      int64_t now)
{
	if ((uint64_t)stat->st_size < policy->min_size)
		return POLICY_SMALL;
	if (age(&stat->st_mtim, now) < policy->modify_age ||
	    age(&stat->st_atim, now) < policy->access_age)
		return POLICY_YOUNG;
	return stat->st_blocks > 0 ? POLICY_TAKE : POLICY_SPARSE;
}

bool policy_excludes(const struct config_tier *policy, const char *path, bool is_folder)
{
	return glob_match_any(policy->exclude.items, policy->exclude.count, path,
			      is_folder) != NULL;
}

bool policy_includes(const struct config_tier *policy, const char *path, bool is_folder)
{
	return policy->include.count == 0 ||
	       glob_match_any(policy->include.items, policy->include.count, path,
			      is_folder) != NULL;
}

double policy_rank(const struct stat *stat, int64_t now)
{
	uint64_t access = age(&stat->st_atim, now);
	uint64_t modify = age(&stat->st_mtim, now);
	uint64_t least = access < modify ? access : modify;

	return ((double)least + 1) * ((double)stat->st_blocks * BLOCK);
}

int policy_usage_get(int fd, struct policy_usage *usage_out)
{
	struct statvfs info;

	if (fstatvfs(fd, &info) < 0)
		return -errno;
	usage_out->used = (uint64_t)(info.f_blocks - info.f_bfree) * info.f_frsize;
	usage_out->available = (uint64_t)info.f_bavail * info.f_frsize;
	return 0;
}

/* What so many percent of it are, without overflow. */
static uint64_t part(const struct policy_usage *usage, unsigned percent)
{
	uint64_t total = usage->used + usage->available;

	return total / 100 * percent + total % 100 * percent / 100;
}

unsigned policy_usage_percent(const struct policy_usage *usage)
{
	unsigned percent = 0;

	while (percent < 100 && part(usage, percent) < usage->used)
		percent++;
	return percent;
}

uint64_t policy_wanted(const struct config_tier *policy, const struct policy_usage *usage)
{
	uint64_t wanted = 0;
	uint64_t low = part(usage, config_tier_low(policy));

	if (policy->high == 0)
		return POLICY_ALL;
	if (usage->used >= part(usage, policy->high) && usage->used > low)
		wanted = usage->used - low;
	/* As if high was reached, and further if that is not enough. */
	if (usage->available < policy->reserve) {
		uint64_t lacking = policy->reserve - usage->available;

		if (usage->used > low)
			wanted = usage->used - low;
		if (lacking > wanted)
			wanted = lacking;
	}
	return wanted;
}
