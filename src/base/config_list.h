/* SPDX-License-Identifier: MIT */
#pragma once
/* One more string in a list of a config.toml that people wrote: everything else in the file,
 * their comments included, stays as it is. Pure function, any thread.
 */
#include <stddef.h>

struct error;
struct text;

/* Append to @out the file of @size bytes at @data with @item at the end of the list @key of
 * [@section]; section and list are made if there are none. -EINVAL if the file can't be
 * parsed, or is written in a way that this does not know, or @item can't stand in it: then
 * it is for a person to do; -ENOMEM. Then what is behind @out is of no use. */
int config_list_append(const char *data, size_t size, const char *section,
		       const char *key, const char *item, struct text *out,
		       struct error *err);
