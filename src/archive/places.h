/* SPDX-License-Identifier: MIT */
#pragma once
/* The places of an archive: the folders, on whatever disks, in which its volume files lie
 * ([volume] directory and more_directories). Paths of places and of volume files are
 * absolute, or count from the archive's folder: openat() with places_base() opens either.
 * A place that is not there is no error; it may come back at any time.
 *
 * Immutable after places_new(): any thread.
 */
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct config;
struct error;
struct places;

#define PLACES_MAX 64u

/* @base_fd is the archive's folder, duplicated. -EINVAL: too many places. */
int places_new(int base_fd, const struct config *config, struct places **places_out,
	       struct error *err);
void places_free(struct places *places);
DEFINE_AUTOPTR(places);

int places_base(const struct places *places); /* descriptor, borrowed */
size_t places_count(const struct places *places);
/* The path of place number @i, the first being [volume] directory; borrowed. */
const char *places_path(const struct places *places, size_t i);

/* Look at place @i: 0, or why it can't be used (-ENOENT, -ENOTDIR, -EACCES, -EIO...). One
 * that is the same folder as an earlier one is -EEXIST. */
int places_stat(const struct places *places, size_t i, struct stat *stat_out);

/* The place that the file @path lies in, by its name; places_count() if in none. */
size_t places_of(const struct places *places, const char *path);

/* Whether two files, as the catalog names them, lie in the same folder, by their names. */
bool places_same(const char *a, const char *b);

/* 0 if any place is there; else -ENOMEDIUM, or what is wrong with the first one. */
int places_check(const struct places *places, struct error *err);

/* The file system of the first place that is there. False: none is. */
bool places_medium(const struct places *places, struct statvfs *medium_out);

/* "PLACE/NAME" at *path_out, which the caller frees. -ENOMEM. */
int places_join(const struct places *places, size_t i, const char *name, char **path_out);

/* Make the folder of the file @path durable. */
int places_sync_folder(int base_fd, const char *path, struct error *err);
