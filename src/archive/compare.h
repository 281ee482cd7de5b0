/* SPDX-License-Identifier: MIT */
#pragma once
/* Compares an entry of the archive, with everything below it, with what is on disk: what is
 * only there, what is only here, what differs; with content, byte by byte, every byte of the
 * archive read and verified.
 *
 * Not compared: access and change times, inode numbers, which names are hard links of each
 * other, and whether ranges of zeroes are holes.
 *
 * Called from the thread that owns the archive's catalog handle; content is compared by the
 * archive's pool.
 */
#include "merkle/manifest.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive;
struct error;
struct known_content;

enum compare_kind {
	COMPARE_NEW,        /* only on disk; stands for everything below it */
	COMPARE_GONE,       /* only in the archive; likewise */
	COMPARE_CHANGED,    /* .attributes differ */
	COMPARE_LOST,       /* .size bytes in the archive, from .offset on, are lost */
	COMPARE_UNREADABLE, /* could not be compared: .err */
};

enum compare_attribute { /* bits */
			 COMPARE_TYPE = 1,
			 COMPARE_SIZE = 2,
			 COMPARE_CONTENT = 4,
			 COMPARE_MTIME = 8,
			 COMPARE_MODE = 16,
			 COMPARE_OWNER = 32, /* uid or gid */
			 COMPARE_TARGET = 64,
			 COMPARE_XATTRS = 128,
			 COMPARE_DEVICE = 256,
};
#define COMPARE_ATTRIBUTE_COUNT 9

/* "type", ... for bit number @bit. */
const char *compare_attribute_name(unsigned bit);

struct compare_finding {
	enum compare_kind kind;
	char *path;          /* in the archive */
	unsigned attributes; /* of COMPARE_CHANGED */
	uint64_t offset;     /* of COMPARE_LOST: the first lost byte */
	uint64_t size;       /* and how many of the file are */
	const struct error *err;
};

struct compare_options {
	struct bytes key; /* empty: the whole tree */
	uint64_t at;      /* commit, or VERSION_CURRENT */
	const char *disk; /* what to compare with; a symlink is not followed */
	bool content;     /* and every byte of files of the same size */
	const struct known_content *known; /* files that need not be read; may be NULL */
	const atomic_bool *cancel;
	/* Called in the order of keys, but for COMPARE_NEW, which comes when its folder is
	 * done; from the caller's thread. */
	void (*found)(void *context, const struct compare_finding *finding);
	/* Entries and bytes done since the last call. May be NULL. */
	void (*progress)(void *context, uint64_t entries, uint64_t bytes);
	void *context;
};

struct compare_summary {
	uint64_t entries; /* that are in both */
	uint64_t bytes;   /* of content compared */
	uint64_t new_entries;
	uint64_t gone;
	uint64_t changed;
	uint64_t lost;
	uint64_t unreadable;
};

/* 0 when it got through, whatever it found; -ENOENT: no such entry, or nothing on disk. */
int compare_run(struct archive *archive, const struct compare_options *options,
		struct compare_summary *summary_out, struct error *err);

/* The entry that was committed from @disk (absolute, without symlinks), or from a folder
 * above it: its key, which the caller frees. -ENOENT: none; -ENOTUNIQ: several (the text
 * names two). */
int compare_find_source(struct archive *archive, uint64_t at, const char *disk,
			struct bytes *key_out, struct error *err);
