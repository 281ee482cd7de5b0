/* SPDX-License-Identifier: MIT */
#pragma once
/* Answers the commands that connect to the worker (tier/control.h), each in a thread of its
 * own. Threads: started and stopped by one.
 */
struct command_server;
struct error;
struct work;

/* @work is borrowed until the server is stopped. */
int command_server_start(int state_fd, struct work *work,
			 struct command_server **server_out, struct error *err);
/* Waits for requests that are being worked on. NULL is a no-op. */
void command_server_stop(struct command_server *server);
