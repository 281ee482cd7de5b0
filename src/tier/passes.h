/* SPDX-License-Identifier: MIT */
#pragma once
/* The daemon's own passes: starts `tier scan` (tier/pass.h says why that is another process) for
 * each tier whenever its interval is over, one process at a time.
 *
 * Threads: started and stopped by one.
 */
struct error;
struct passes;

/* *passes_out is NULL if no tier has an interval. */
int passes_start(int state_fd, struct passes **passes_out, struct error *err);

/* Ends the pass that is at work: nothing has to be undone. NULL is a no-op. */
void passes_stop(struct passes *passes);
