/* SPDX-License-Identifier: MIT */
#pragma once
/* What `find` looks for. Main thread. */
#include "catalog/search.h"
#include "cli/command.h"

struct find_filter {
	struct bytes folder; /* key that everything is at or below; owned */
	const char *name;    /* --name, or NULL */
	uint64_t size_min;   /* bytes */
	uint64_t size_max;
	bool has_newer;
	int64_t newer;            /* nanoseconds since the epoch */
	char hash[HASH_HEX_SIZE]; /* first digits; empty: any */
	enum entry_type type;     /* 0: any */
	const char *tag;          /* KEY or KEY=VALUE, or NULL */
	uint64_t *commits;        /* owned: those with the tag, newest first */
	size_t commit_count;
};

/* From the options; -EINVAL with a text for wrong usage. Release with find_filter_done(),
 * also after an error. */
int find_filter_make(struct find_filter *filter, const struct options *options,
		     struct error *err);
void find_filter_done(struct find_filter *filter);

/* Look up which commits have the tag, if one is asked for. */
int find_filter_load_tags(struct find_filter *filter, struct catalog *catalog,
			  struct error *err);

/* Whether the version @row of the entry @key is one of those. 1, 0 or -ENOMEM. */
int find_filter_match(const struct find_filter *filter, const uint8_t *key,
		      size_t key_size, const struct version_row *row);
