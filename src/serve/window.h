/* SPDX-License-Identifier: MIT */
#pragma once
/* The buffers that streams read into, ahead of their clients: a fixed number for the whole
 * server, taken from the memory budget once. A stream may lose a window at any time before
 * it has sent what is in it, so a client that stalls does not keep memory from the others;
 * what was lost is read again when the client goes on.
 *
 * Threads: internally locked. No lock is held while a window is filled or copied.
 */
#include "archive/read_pieces.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct windows;

#define WINDOW_SIZE (512u << 10) /* bytes; windows begin and end at multiples of it */

/* A window that the caller fills or copies from; nobody else touches it meanwhile. */
struct window {
	const void *owner; /* who it was taken for; NULL: free */
	uint64_t offset;   /* in the owner's body */
	size_t size;       /* bytes that are there; 0 with an error */
	int r;             /* of reading at offset + size, if that is why it ends early */
	struct error err;  /* its text */
	uint8_t *data;     /* WINDOW_SIZE bytes, and the slack of what follows */
	struct read_pieces pieces; /* of data: where the bytes are; none in frames */

	/* For window.c alone. */
	enum { WINDOW_IDLE, WINDOW_FILLING, WINDOW_READY, WINDOW_COPYING } state;
	uint64_t touched; /* clock_monotonic_ns() */
};

/* As many windows as a share of @budget allows, at least 4, or -ENOMEM. */
int windows_new(struct budget *budget, struct windows **windows_out, struct error *err);
/* None may be filled or copied (asserted). */
void windows_free(struct windows *windows);
DEFINE_AUTOPTR(windows);

enum window_found {
	WINDOW_NONE,   /* no window of the owner has that offset */
	WINDOW_FILLED, /* *window_out: copy from it, then windows_copied() */
	WINDOW_AWAITED /* it is being filled */
};

/* The window of @owner that holds @offset, or an error at exactly @offset. */
enum window_found windows_find(struct windows *windows, const void *owner,
			       uint64_t offset, struct window **window_out);

/* A window to fill from @offset on, then windows_filled(). It was idle, or ready for a client
 * that has not come for it in a while. NULL: there is none. */
struct window *windows_take(struct windows *windows, const void *owner, uint64_t offset);

void windows_filled(struct windows *windows, struct window *window);

/* The owner has got everything before @offset; a window that is used up is idle again. */
void windows_copied(struct windows *windows, struct window *window, uint64_t offset);

/* The owner is gone: none of its windows may be filled or copied now. */
void windows_release(struct windows *windows, const void *owner);
