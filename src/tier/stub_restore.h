/* SPDX-License-Identifier: MIT */
#pragma once
/* Restoring to a hot tier without content: files become stubs, which come back when somebody
 * opens them (archive/restore.h). Threads: opened and freed by one; its use by any.
 */
#include "archive/restore.h"
#include "base/cleanup.h"

struct stub_restore;

/* To the folder @directory, which need not be there, for contents of the archive @archive.
 * -EINVAL: it is in no tier; -ENOTCONN: no daemon runs. The text says what to do. */
int stub_restore_new(const char *state, const char *directory, const struct hash *archive,
		     struct stub_restore **restore_out, struct error *err);
void stub_restore_free(struct stub_restore *restore);
DEFINE_AUTOPTR(stub_restore);

/* Borrowed until it is freed. */
const struct restore_stubber *stub_restore_stubber(const struct stub_restore *restore);
