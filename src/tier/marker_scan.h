/* SPDX-License-Identifier: MIT */
#pragma once
/* Finds every file of a folder that has a marker, without opening files. Other file systems
 * that are mounted in it are left out. Any thread.
 */
struct error;
struct marker;

/* Call @visit for each in the folder @folder_fd, which is called @folder: @fd is O_PATH and
 * borrowed, @marker NULL if it is a strange one, @path the whole path. Stops at a negative
 * result. */
int marker_scan(int folder_fd, const char *folder,
		int (*visit)(void *context, int fd, const struct marker *marker,
			     const char *path, struct error *err),
		void *context, struct error *err);
