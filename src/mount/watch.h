/* SPDX-License-Identifier: MIT */
#pragma once
/* A thread that keeps a mount up to date and ends it: it sees new commits and a catalog that
 * was replaced, tells the kernel to forget what has changed, and takes the signals.
 */
#include <signal.h>

struct error;
struct file_system;
struct fuse_session;
struct session_options;
struct watch;

/* The signals that end a mount; blocked before any thread is started. */
void watch_signals(sigset_t *set_out);

/* Start the thread. Everything is borrowed. Call on the thread that runs the loop. */
int watch_new(struct file_system *fs, struct fuse_session *fuse,
	      const struct session_options *options, struct watch **watch_out,
	      struct error *err);

/* The loop has ended: end the thread. NULL is allowed, here and below. */
void watch_stop(struct watch *watch);
void watch_free(struct watch *watch);
