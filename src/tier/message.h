/* SPDX-License-Identifier: MIT */
#pragma once
/* What the guard and those who speak to it send each other: small messages over a Unix
 * socket in the state folder, some with a descriptor. Only root gets into that folder, and
 * both sides are of one program; a message of another size ends the connection.
 *
 * Threads: any number may send on one socket, one receives.
 */
#include <stddef.h>
#include <stdint.h>

struct error;

enum message_type {
	/* to the guard */
	MESSAGE_HELLO = 1, /* a worker: number is the deadline in seconds; -> GROUP */
	MESSAGE_HOLD,      /* keep the descriptor open */
	MESSAGE_READY,     /* all stubs are marked: send requests */
	MESSAGE_ANSWER,    /* to the request `sequence`: `error` */
	MESSAGE_PROGRESS,  /* the request `sequence` is being worked on */
	MESSAGE_BYE,       /* the worker ends, and is not to be replaced */
	MESSAGE_ASK,       /* -> STATE */
	MESSAGE_RELEASE,   /* end, and let everybody through; -> STATE */
	/* from it */
	MESSAGE_GROUP, /* with the group's descriptor; number: stubs are marked already */
	MESSAGE_REQUEST, /* `sequence`, with a descriptor of the file; number: the process */
	MESSAGE_STATE, /* number: requests waiting; sequence: the worker's process, or 0;
			* error, if asked: ENODATA as long as no stub is marked */
};

struct message {
	uint32_t type;
	int32_t error; /* positive errno */
	uint64_t sequence;
	uint64_t number;
};

/* Listen at @name in the folder @state_fd, replacing a socket that is there. */
int message_listen(int state_fd, const char *name, int *fd_out, struct error *err);
/* -ENOENT, -ECONNREFUSED: nobody listens. */
int message_connect(int state_fd, const char *name, int *fd_out, struct error *err);

/* Send with the descriptor @fd, or -1. @flags as of send(2). -errno; -EPIPE: it is over. */
int message_send(int socket, const struct message *message, int fd, int flags);
/* *fd_out is a descriptor that came along, which the caller closes, or -1. -EPIPE: it is
 * over. */
int message_receive(int socket, struct message *message_out, int *fd_out);

/* The same for other messages, of @size bytes. */
int message_send_bytes(int socket, const void *data, size_t size, int fd, int flags);
int message_receive_bytes(int socket, void *data_out, size_t size, int *fd_out);
