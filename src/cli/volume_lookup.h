/* SPDX-License-Identifier: MIT */
#pragma once
/* The volume that an argument means. Main thread. */
#include "catalog/placement.h"

struct archive;
struct error;

/* By number, whole UUID or label; else by the first digits of the UUID, at least four. -ENOENT;
 * -ENOTUNIQ. Release *volume with volume_row_done(). */
int volume_lookup(struct archive *archive, const char *text, struct volume_row *volume,
		  struct error *err);
