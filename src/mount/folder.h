/* SPDX-License-Identifier: MIT */
#pragma once
/* Reading folders. Nothing is kept between two calls of the kernel: the offset of an entry
 * says behind which one to go on, whatever a commit has changed meanwhile.
 * Threads: as the request.
 */
#include "mount/look_up.h"

#include <stdbool.h>

struct request;

/* Takes the entries. @found->stat is complete if @complete, else only st_ino and the type
 * in st_mode are set. @offset is where the next one begins. False: there is no room. */
struct folder_sink {
	bool (*add)(struct folder_sink *sink, const char *name, const struct found *found,
		    bool complete, uint64_t offset);
	bool wants_complete;
};

/* Give the entries of @folder from @offset on (0: all) to @sink until it is full. */
int folder_list(struct request *request, const struct inode *folder, uint64_t offset,
		struct folder_sink *sink);
