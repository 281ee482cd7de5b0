/* SPDX-License-Identifier: MIT */
#pragma once
/* Error reporting: an errno-style return code plus a message chain.
 *
 * Fallible functions return int: 0 = success, < 0 = negative errno, and, only
 * where the header says so, > 0 = a named non-error outcome (end of list, not
 * found) that the immediate caller must handle.
 *
 * Functions that touch disk, network or foreign bytes also take a trailing
 * `struct error *err`. The caller owns it (usually on the stack); it starts as { 0 } and is
 * written only on failure; NULL means "I do not want the text". Nothing here allocates,
 * so reporting -ENOMEM cannot itself fail.
 */
#include <stddef.h>

#define ERROR_TEXT_MAX 512 /* bytes, including the NUL; longer text keeps its front */

struct error {
	char text[ERROR_TEXT_MAX];
};

/* Replace *err with the formatted text. Returns @code, which must be < 0. */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((__format__(__printf__, 3, 4)));

/* As error_set(), with ": strerror(-code)" appended. For failed syscalls. */
int error_set_errno(struct error *err, int code, const char *fmt, ...)
	__attribute__((__format__(__printf__, 3, 4)));

/* Put "<text>: " in front of what *err already says. Returns @code. */
int error_prefix(struct error *err, int code, const char *fmt, ...)
	__attribute__((__format__(__printf__, 3, 4)));
