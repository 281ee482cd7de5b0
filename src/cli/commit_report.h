/* SPDX-License-Identifier: MIT */
#pragma once
/* What a commit did, for people and as JSON. Main thread. */
#include "archive/commit.h"

#include <stdbool.h>
#include <stdint.h>

/* A few lines on stdout. @elapsed in nanoseconds. */
void commit_report_print(const struct commit_summary *summary, bool dry_run,
			 uint64_t elapsed);

/* One JSON object on stdout. */
void commit_report_json(const struct commit_summary *summary, bool dry_run,
			uint64_t elapsed);
