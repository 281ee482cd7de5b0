/* SPDX-License-Identifier: MIT */
#pragma once
/* Marking all stubs, when a worker begins: by the tables and by markers, which finds those
 * that a table has lost. Main thread, before requests are taken.
 */
struct error;
struct tiers;

/* Mark every stub; take back what was about to become one. Rows of files that were deleted
 * stay. Stops at the first one that can't be marked: it would read as zeroes. */
int marking_all(const struct tiers *tiers, int group, struct error *err);

/* Only take back what a killed worker was about to make stubs. */
int marking_recover(const struct tiers *tiers, int group, struct error *err);
