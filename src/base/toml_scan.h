/* SPDX-License-Identifier: MIT */
#pragma once
/* A look at TOML before it is parsed, to keep out what the parser nests too deeply.
 * Pure function, any thread.
 */
#include "base/error.h"

#include <stddef.h>

#define TOML_DOTS_MAX 64   /* outside of strings and comments, in a whole file */
#define TOML_NESTING_MAX 8 /* open brackets and braces */

/* -EINVAL with the reason; *line_out (1 is the first) says where. */
int toml_scan(const char *data, size_t size, unsigned *line_out, struct error *err);
