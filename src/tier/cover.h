/* SPDX-License-Identifier: MIT */
#pragma once
/* The cover: what lies over a tier's folder while nobody guards its stubs. It is a FUSE mount
 * without a process behind it: who goes there gets ENOTCONN, root too. Any thread, but two
 * that lay a cover on one folder at a time may lay two.
 */
#include <stdbool.h>

struct error;

/* Whether the folder @path, absolute, is covered. */
bool cover_is_on(const char *path);

/* Cover the folder, unless it is. -ENODEV: there is no FUSE on this machine. */
int cover_lay(const char *path, struct error *err);

/* Take all covers away that lie on top of each other; none is fine. */
int cover_lift(const char *path, struct error *err);

/* Open the folder itself, whatever covers it. *beneath_out: something did, and the descriptor
 * belongs to a mount that is nowhere to be seen. Waits for a process of its own. -errno. */
int cover_open_beneath(const char *path, int *fd_out, bool *beneath_out,
		       struct error *err);
