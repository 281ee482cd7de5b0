/* SPDX-License-Identifier: MIT */
#pragma once
/* The covers (tier/cover.h) of all tiers of a state folder. Main thread. */
#include <stdbool.h>

struct error;
struct tiers;

/* Cover every tier's folder. Each that can't be is logged, and the rest follow; the result is
 * that of the last failure: -ENODEV, no FUSE; -ESTALE, its file system is not mounted. */
int covering_lay(int state_fd, struct error *err);

/* The same, unless a guard holds the marks of all stubs: *guarded_out. If it has begun to
 * meanwhile, the covers go again, for whoever marked the stubs may have lifted them before. */
int covering_lay_unguarded(int state_fd, bool *guarded_out, struct error *err);

/* Take the covers away, without opening the tiers. */
int covering_lift(int state_fd, struct error *err);

/* The same for tiers that are open, whose folders are then opened again by their names, so that
 * they keep their file systems from being unmounted. What can't be is logged. */
void covering_lift_tiers(struct tiers *tiers);
