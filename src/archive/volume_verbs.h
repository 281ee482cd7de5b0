/* SPDX-License-Identifier: MIT */
#pragma once
/* What a person does to single volumes of a set: begin one, seal one, retire one. The archive
 * is open for writing. One thread, the one that owns the archive's catalog handle.
 */
#include "catalog/placement.h"

struct archive;
struct error;

/* Begin a volume in the place number @place of the archive's, with header and checkpoint; the
 * next commits fill it. @label NULL: after the first volume. *volume_out is to be released
 * with volume_row_done(). */
int volume_begin(struct archive *archive, size_t place, const char *label,
		 struct volume_row *volume_out, struct error *err);

/* End @volume: nothing more is appended to it. -EALREADY: it is; -ENOMEDIUM. */
int volume_seal(struct archive *archive, const struct volume_row *volume,
		struct error *err);

/* Say, in a record on the volumes that are being filled, that @volume is gone for good, or is
 * to be: nothing is asked of it any more, it is no copy, and nothing is written to it.
 * -EALREADY: it is. */
int volume_retire(struct archive *archive, const struct volume_row *volume,
		  struct error *err);
