/* SPDX-License-Identifier: MIT */
#pragma once
/* What becomes a stub by itself, and what stays, and why. Pure functions, any thread. */
#include <stdbool.h>
#include <stdint.h>

struct config_tier;
struct stat;

/* Why a file stays as it is. */
enum policy_skip {
	POLICY_TAKE, /* it does not */
	/* by what the policy says */
	POLICY_SMALL,
	POLICY_YOUNG, /* read or changed not long ago */
	POLICY_EXCLUDED,
	POLICY_PINNED,
	POLICY_ENOUGH, /* others free enough space */
	/* by what it is */
	POLICY_STUB,
	POLICY_SPARSE,       /* it occupies no space */
	POLICY_LINKED,       /* another name of a file that was looked at */
	POLICY_IMMUTABLE,    /* or append-only, or otherwise special to its file system */
	POLICY_CAPABILITIES, /* it would lose them */
	POLICY_SPECIAL,      /* its name can't be in an archive, ... */
	/* by what happens to it */
	POLICY_IN_USE, /* somebody has it open or mapped */
	POLICY_CHANGED,
	POLICY_GONE,
	POLICY_FAILED, /* an error, which is told */
	POLICY_SKIPS,
};

/* "small", "young", ... */
const char *policy_skip_name(enum policy_skip skip);
bool policy_skip_parse(const char *name, enum policy_skip *skip_out);

/* What follows from the attributes of a regular file at @now (seconds since 1970). */
enum policy_skip policy_judge(const struct config_tier *policy, const struct stat *stat,
			      int64_t now);

/* Whether the file or folder @path, absolute, is left out with all below it. */
bool policy_excludes(const struct config_tier *policy, const char *path, bool is_folder);
/* Whether it is asked for with all below it. */
bool policy_includes(const struct config_tier *policy, const char *path, bool is_folder);

/* The file with the highest one goes first: age times space. */
double policy_rank(const struct stat *stat, int64_t now);

/* Bytes of a file system. */
struct policy_usage {
	uint64_t used;
	uint64_t available; /* to those who are not root */
};

/* -errno. */
int policy_usage_get(int fd, struct policy_usage *usage_out);

/* In percent, as df(1) has it: rounded up. */
unsigned policy_usage_percent(const struct policy_usage *usage);

/* How many bytes are to be freed: POLICY_ALL if it does not depend on how full it is. */
#define POLICY_ALL UINT64_MAX
uint64_t policy_wanted(const struct config_tier *policy,
		       const struct policy_usage *usage);
