/* SPDX-License-Identifier: MIT */
#pragma once
/* The files of the page, src/serve/web/, as they were built in. Threads: constant. */
#include <stddef.h>
#include <stdint.h>

struct web_file {
	const char *name; /* "main.js" */
	const char *type; /* what goes into Content-Type */
	const uint8_t *data;
	size_t size; /* bytes */
};

#define WEB_PAGE "page.html" /* what "/" is */

extern const struct web_file web_files[];
extern const size_t web_file_count;
