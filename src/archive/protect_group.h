/* SPDX-License-Identifier: MIT */
#pragma once
/* Makes parity shards of one group: reads its members, appends their parity to lanes, lists
 * it. One thread at a time. */
#include "archive/outer_lanes.h"
#include "archive/protect.h"
#include "base/error.h"

struct protect {
	struct archive *archive;
	const struct protect_options *options;
	struct protect_report report;
	uint64_t total;    /* bytes to read, for progress */
	uint64_t started;  /* monotonic, nanoseconds */
	uint64_t left_out; /* bytes that can't be read */
	bool unreadable;   /* a group can't get its missing parity because of that */
	struct error why;  /* of the first of them */
};

bool protect_is_stopped(const struct protect *protect);

/* End the transaction of one group, whose making gave @r; returns what remains of it. After
 * -EBADMSG, of a member that can't be read, what was appended is kept: the next group goes on
 * behind it. */
int protect_finish(struct protect *protect, int r, struct error *err);

/* Note that a group can't be made, and the reason. */
void protect_leave_out(struct protect *protect, const struct error *why);

/* Append the shards @numbers of @group, which has members, to the lanes, one to each, and list
 * them. In the catalog's transaction. -EINTR if it was stopped: then nothing is listed. */
int protect_group(struct protect *protect, struct outer_lanes *lanes,
		  const struct group *group, const unsigned *numbers, struct error *err);
