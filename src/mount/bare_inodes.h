/* SPDX-License-Identifier: MIT */
#pragma once
/* Remembers which files have no xattrs, as most have none and every `ls -l` asks for some of
 * each. Only numbers of versions are kept, of which it stays true for ever. Any thread, no
 * lock: a slot that another number takes is forgotten, never wrong.
 */
#include <stdbool.h>
#include <stdint.h>

struct bare_inodes;

/* NULL: no memory. The caller frees it with free(). */
struct bare_inodes *bare_inodes_new(void);

void bare_inodes_add(struct bare_inodes *bare, uint64_t number);
bool bare_inodes_have(struct bare_inodes *bare, uint64_t number);
