/* SPDX-License-Identifier: MIT */
#pragma once
/* The program under the names mount.blockframe and mount.fuse.blockframe, as mount(8) starts
 * it for a line of fstab. Main thread.
 */
#include <stdbool.h>

#define MOUNT_HELPER_WORDS_MAX 10

/* Whether @name, the program's own, is one of these. */
bool mount_helper_is(const char *name);

/* Turn "NAME ARCHIVE|URL DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]" into the words of a
 * mount command, borrowed; OPTIONS is changed in its place. Their number; 0 if nothing is to be
 * done (-f); -EINVAL for another command line. */
int mount_helper_words(char **words, int count, char *words_out[MOUNT_HELPER_WORDS_MAX]);
