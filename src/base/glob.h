/* SPDX-License-Identifier: MIT */
#pragma once
/* Exclude patterns, matched on path components.
 *
 *   *        any bytes of one component, also none; leading dots are nothing special
 *   ?        one character; a byte that is not UTF-8 counts as one
 *   [a-z]    one ASCII character of a set; [!a-z] or [^a-z] one character not of it
 *   \c       the character c itself
 *   **       as a whole component: any number of components, also none; at the end of
 *            a pattern at least one, so "cache/" + "**" empties a folder but keeps it
 *
 *   *.o      without a slash: the last component, at any depth
 *   a/b      with a slash inside: the last components, at any depth
 *   /home/x  with a slash in front: the whole path
 *   tmp/     with a slash at the end: folders only
 *
 * An excluded folder takes along what is below it: whoever walks does not enter it.
 * Paths are bytes; nothing needs to be UTF-8. Repeated slashes count as one. There is no
 * negation. Matching takes at most pattern size times path size steps. Pure, any thread.
 */
#include <stdbool.h>
#include <stddef.h>

struct error;

/* 0 when @pattern is well formed; -EINVAL with the reason: empty, an open '[', a '\' at
 * the end, a leading '!' (no negation), "**" beside other characters. */
int glob_check(const char *pattern, struct error *err);

/* Whether @path is matched by the well-formed @pattern. */
bool glob_match(const char *pattern, const char *path, bool is_folder);

/* The first of @count patterns that matches, or NULL. */
const char *glob_match_any(char *const *patterns, size_t count, const char *path,
			   bool is_folder);
