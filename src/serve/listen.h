/* SPDX-License-Identifier: MIT */
#pragma once
/* Listening sockets, before a server is there. Main thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct text;

/* Listen on @address (IPv4 or IPv6, as numbers, or "localhost"), TCP port @port (0: any that
 * is free). -EINVAL: no address. -EADDRINUSE, ... */
int listen_open(const char *address, uint16_t port, int *fd_out, struct error *err);

/* Take over the sockets that the service manager has passed on (LISTEN_FDS), at most
 * @count_max. Their number, 0 if there are none. -EINVAL: one is no listening stream socket. */
int listen_inherit(int *fds_out, size_t count_max, struct error *err);

/* Whether only this machine can reach the socket. */
bool listen_is_local(int fd);

/* Append where @fd listens: "127.0.0.1:8080", "[::1]:8080" or a path. -ENOMEM. */
int listen_append_name(int fd, struct text *text);
