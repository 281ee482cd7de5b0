/* SPDX-License-Identifier: MIT */
#pragma once
/* The volume files in an archive's places: which files there are, and what each one is. A
 * volume is known by the UUID in its pages, never by its name; only names that end in
 * VOLUME_FILE_SUFFIX are looked at. Knows nothing of catalogs. Any thread.
 *
 * The name of a file is its path, as archive/places.h has it; @folder_fd is where relative
 * ones count from.
 */
#include "merkle/hash.h"
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct places;

#define VOLUME_FILE_SUFFIX ".bfv"

/* What to do about a volume that ends before the catalog says it does. */
#define VOLUME_FILE_STALE_ADVICE                                                         \
	"If the file is an older copy, put the newer one back. If its end is damaged, "  \
	"'blockframe catalog rebuild' gives up what its last records said, and commits " \
	"go on"

/* What to do about a volume whose records are not those that the catalog has seen. */
#define VOLUME_FILE_FORK_ADVICE                                                        \
	"If the file is a copy that somebody else's commits went on in, put the file " \
	"of "                                                                          \
	"this archive back. If it is the one to keep, 'blockframe catalog rebuild' "   \
	"goes "                                                                        \
	"by the volumes that are there, and forgets commits that are on none of them"

enum volume_file_state {
	VOLUME_FILE_GOOD,      /* a volume */
	VOLUME_FILE_COPY,      /* of a volume, with fewer records than another file has */
	VOLUME_FILE_FOREIGN,   /* a volume of another archive */
	VOLUME_FILE_UNSTARTED, /* no record yet: its writer was interrupted, or no volume */
	VOLUME_FILE_UNREADABLE,
};

struct volume_file {
	enum volume_file_state state;
	char *name;             /* owned; path */
	uint64_t size;          /* bytes, holes included */
	struct uuid uuid;       /* zero unless a volume */
	struct hash archive_id; /* likewise */
	char *info; /* JSON of its header record; owned; NULL if that is lost */
	size_t info_size;
	char *problem; /* for people, if the state is not good; owned, or NULL */
};

struct volume_files {
	struct volume_file *items; /* owned; by place, then in order of name */
	size_t count;
};

/* The files in all places that are there, in order, unidentified (state UNSTARTED). Release
 * with volume_files_done(). */
int volume_folder_list(const struct places *places, struct volume_files *files_out,
		       struct error *err);

/* Find out what the file is that @file->name names; fills in the rest. Only a lack of memory
 * is an error; everything else is a state. With @archive_id not NULL, volumes of others
 * become FOREIGN. */
int volume_folder_identify(int folder_fd, const struct hash *archive_id,
			   struct volume_file *file, struct error *err);

/* Both, for every file. Of several files with one UUID all but the one with the most
 * records become COPY. */
int volume_folder_scan(const struct places *places, const struct hash *archive_id,
		       struct volume_files *files_out, struct error *err);

/* Whether the file @name is volume @uuid: the short question. 0, -ENOENT (no such file, or
 * another volume), or why it can't be read. */
int volume_folder_check(int folder_fd, const char *name, const struct uuid *uuid,
			struct error *err);

/* Make durable what can be read of the file @name, and its name. A killed writer may have
 * left it in the kernel's cache only, where a power cut can still take it away. */
int volume_folder_sync(int folder_fd, const char *name, struct error *err);

/* The name of a new volume's file in its place: NUMBER-UUID.bfv. */
#define VOLUME_FILE_NAME_MAX 48
void volume_file_name(uint64_t number, const struct uuid *uuid,
		      char name_out[VOLUME_FILE_NAME_MAX]);

void volume_files_done(struct volume_files *files);
#define autovolume_files __attribute__((__cleanup__(volume_files_done)))
