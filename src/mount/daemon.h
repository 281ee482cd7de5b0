/* SPDX-License-Identifier: MIT */
#pragma once
/* Going into the background: the process that was started waits until the one behind it is
 * ready, or has failed, and ends with its code. Main thread, before any other is started.
 */
struct daemon {
	int pipe_fd; /* to the process that waits; -1: nobody does */
};

/* Go on in a new process and session, with the same standard error. In the old process this
 * returns 1, and *code_out is what to exit with; in the new one 0. -errno. */
int daemon_start(struct daemon *daemon, int *code_out);

/* Let the other one end with @code, if it still waits. */
void daemon_tell(struct daemon *daemon, int code);

/* Leave the terminal: standard error is @log_fd from now on, or /dev/null for -1. */
void daemon_detach(int log_fd);
