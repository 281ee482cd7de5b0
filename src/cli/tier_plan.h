/* SPDX-License-Identifier: MIT */
#pragma once
/* What `tier status` says of each tier's policy: its last pass, and what the next one would do.
 * No files are looked at: what is told is estimated from the last pass or dry run, and says of
 * when it is. Main thread.
 */
struct error;
struct json;
struct tier_state;

/* Print lines, or add the array `tiers` to @json, if that is not NULL. */
int tier_plan_tell(const struct tier_state *state, struct json *json, struct error *err);
