/* SPDX-License-Identifier: MIT */
#pragma once
/* What df shows: the archive's size on its medium, what is free there, and its paths.
 * Threads: as the request.
 */
#include <sys/statvfs.h>

struct request;

int space_of(struct request *request, struct statvfs *space_out);
