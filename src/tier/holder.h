/* SPDX-License-Identifier: MIT */
#pragma once
/* Who holds the group, and who reads it: locks on the file `holders` of the state folder,
 * which end with the process that has them and are not passed on by fork().
 *
 * Threads: one at a time. A process opens the file once (closing any descriptor of it
 * would drop its locks).
 */
#include <stdbool.h>

struct error;

/* Open the file, making it if there is none. */
int holder_open(int state_fd, int *lock_out, struct error *err);

/* This process holds the group, or is about to get it. Waits for one that begins a new group. */
int holder_enter(int lock, struct error *err);

/* It does not, any more. */
int holder_leave(int lock, struct error *err);

/* This process is to begin a new group: only if nobody holds the old one. -EBUSY: somebody
 * does. holder_enter() follows. */
int holder_begin(int lock, struct error *err);

/* Become the one process that reads the group. With @wait, when the one that does has
 * ended; else -EBUSY. */
int holder_read(int lock, bool wait, struct error *err);

/* Become the one worker. -EBUSY: there is one. */
int holder_work(int lock, struct error *err);
