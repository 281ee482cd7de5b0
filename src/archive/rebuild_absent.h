/* SPDX-License-Identifier: MIT */
#pragma once
/* The part of a rebuild that learns of volumes that are not there from the groups of the outer
 * code on those that are. One thread at a time. */
struct budget;
struct error;
struct rebuild;

/* Take in the records of all volumes that no file was found for. What can't be had is a
 * problem, as in rebuild_volume(). */
int rebuild_absent_volumes(struct rebuild *rebuild, struct budget *budget,
			   struct error *err);
