/* SPDX-License-Identifier: MIT */
#pragma once
/* One entry next to what is on disk: which attributes differ. Any thread. */
#include "merkle/manifest.h"

#include <stdbool.h>

struct stat;

/* Bits of enum compare_attribute, content apart, in which @name of folder @dirfd, whose
 * @stat is known, differs from @manifest. The mark of a stub does not count if @known. -errno if its
 * xattrs or target can't be read. */
int compare_entry(const struct manifest *manifest, int dirfd, const char *name,
		  const struct stat *stat, bool known, unsigned *attributes_out);
