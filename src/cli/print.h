/* SPDX-License-Identifier: MIT */
#pragma once
/* How entries look on standard output: names, long lines, JSON lines. Main thread. */
#include "catalog/history.h"
#include "merkle/manifest.h"

#include <stdint.h>

struct error;
struct text;

/* The key of a path as typed: leading, trailing and double slashes do not matter; "/" and ""
 * are the top (empty key). -EINVAL for "." and ".." components. Release key_out->data. */
int path_argument_key(const char *path, struct bytes *key_out, struct error *err);

/* A name or path to stdout: quoted where needed on a terminal, as it is in a pipe. */
void print_name(const void *data, size_t size);

/* "drwxr-xr-x user group size date version " for `ls -l`. */
void print_long(const struct manifest *manifest);

/* Append "2024-05-01 14:30:00" in the local zone. */
void append_time(struct text *text, const struct entry_time *time);

/* Print a JSON document, indented on a terminal, as one line in a pipe. */
struct json;
void print_json(const struct json *json);
