/* SPDX-License-Identifier: MIT */
#include "cli/find_filter.h"

#include "archive/head.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/glob.h"
#include "base/size.h"
#include "base/timestamp.h"
#include "cli/print.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Options. */

/* "+N": more than that, "-N": less, "N": exactly. Several narrow it down. */
static int add_size(struct find_filter *filter, const char *text, struct error *err)
{
	const char *digits = text + (*text == '+' || *text == '-');
	uint64_t min = 0;
	uint64_t max = UINT64_MAX;
	uint64_t size;

	if (size_parse(digits, &size) < 0 || (*text == '-' && size == 0) ||
	    (*text == '+' && size == UINT64_MAX))
		return error_set(err, -EINVAL,
				 "option '--size': '%s' is not a size like +10M, -4KiB "
				 "or 512",
				 text);
	if (*text != '-')
		min = *text == '+' ? size + 1 : size;
	if (*text != '+')
		max = *text == '-' ? size - 1 : size;
	if (min > filter->size_min)
		filter->size_min = min;
	if (max < filter->size_max)
		filter->size_max = max;
	return 0;
}

static int set_newer(struct find_filter *filter, const char *text, struct error *err)
{
	uint64_t duration;

	filter->has_newer = true;
	if (duration_parse(text, &duration) == 0 && duration <= INT64_MAX) {
		filter->newer = clock_realtime_ns() - (int64_t)duration;
		return 0;
	}
	if (timestamp_parse(text, &filter->newer) < 0)
		return error_set(err, -EINVAL,
				 "option '--newer': '%s' is neither a time like "
				 "2024-05-01 nor a duration like 30d",
				 text);
	return 0;
}

static int set_hash(struct find_filter *filter, const char *text, struct error *err)
{
	size_t size = strlen(text);

	if (size == 0 || size >= sizeof(filter->hash) ||
	    strspn(text, "0123456789abcdefABCDEF") != size)
		return error_set(err, -EINVAL,
				 "option '--hash': '%s' is not 1 to 64 hexadecimal "
				 "digits",
				 text);
	for (size_t i = 0; i <= size; i++)
		filter->hash[i] = (char)tolower((unsigned char)text[i]);
	return 0;
}

/* "file", or the letter that find(1) has for it. */
static int set_type(struct find_filter *filter, const char *text, struct error *err)
{
	static const char letters[] = "?fdlpscb";

	for (unsigned type = ENTRY_FILE; type <= ENTRY_BLOCK; type++) {
		const char letter[2] = { letters[type] };

		if (strcmp(text, entry_type_name((enum entry_type)type)) == 0 ||
		    strcmp(text, letter) == 0) {
			filter->type = (enum entry_type)type;
			return 0;
		}
	}
	return error_set(err, -EINVAL,
			 "option '--type': '%s' is none of file, directory, symlink, "
			 "fifo, socket, char, block",
			 text);
}

static int set_name(struct find_filter *filter, const char *text, struct error *err)
{
	int r = glob_check(text, err);

	filter->name = text;
	return r < 0 ? error_prefix(err, r, "option '--name'") : 0;
}

static int set_folder(struct find_filter *filter, const struct options *options,
		      struct error *err)
{
	const char *path =
		options_argument_count(options) ? options_argument(options, 0) : "/";
	int r = path_argument_key(path, &filter->folder, err);

	return r < 0 ? error_prefix(err, r, "'%s'", path) : 0;
}

int find_filter_make(struct find_filter *filter, const struct options *options,
		     struct error *err)
{
	static const struct {
		const char *name;
		int (*set)(struct find_filter *filter, const char *text,
			   struct error *err);
	} setters[] = { { "name", set_name },
			{ "newer", set_newer },
			{ "hash", set_hash },
			{ "type", set_type },
			{ "size", add_size } };
	int r;

	*filter = (struct find_filter){ .size_max = UINT64_MAX };
	filter->tag = option_value(options, "tag");
	r = set_folder(filter, options, err);
	for (size_t i = 0; r == 0 && i < sizeof(setters) / sizeof(setters[0]); i++) {
		const char *text;

		for (size_t n = 0;
		     r == 0 && (text = option_nth(options, setters[i].name, n)); n++)
			r = setters[i].set(filter, text, err);
	}
	return r;
}

void find_filter_done(struct find_filter *filter)
{
	free(filter->folder.data);
	free(filter->commits);
	*filter = (struct find_filter){ 0 };
}

/* Tags. */

struct tag_search {
	struct find_filter *filter;
	size_t capacity;
	struct error *err;
};

/* Whether @wanted is the tag's "KEY" or "KEY=VALUE". */
static bool is_tag(const struct head_tag *tag, const char *wanted)
{
	size_t size = strlen(tag->key);

	if (strncmp(wanted, tag->key, size) != 0)
		return false;
	return wanted[size] == '\0' ||
	       (wanted[size] == '=' && strcmp(wanted + size + 1, tag->value) == 0);
}

static bool has_tag(const struct head *head, const char *wanted)
{
	for (size_t i = 0; i < head->tag_count; i++)
		if (is_tag(&head->tags[i], wanted))
			return true;
	return false;
}

static int add_commit(struct tag_search *search, uint64_t sequence)
{
	struct find_filter *filter = search->filter;

	if (filter->commit_count == search->capacity) {
		size_t capacity = search->capacity * 2 + 64;
		uint64_t *commits =
			reallocarray(filter->commits, capacity, sizeof(*commits));

		if (!commits)
			return error_set(search->err, -ENOMEM, "out of memory");
		filter->commits = commits;
		search->capacity = capacity;
	}
	filter->commits[filter->commit_count++] = sequence;
	return 0;
}

static int visit_commit(void *context, const struct commit_row *commit)
{
	struct tag_search *search = context;
	struct head head = { 0 };
	int r;

	r = head_decode(commit->head, strlen(commit->head), &head, search->err);
	if (r == 0 && has_tag(&head, search->filter->tag))
		r = add_commit(search, commit->sequence);
	head_done(&head);
	return r;
}

int find_filter_load_tags(struct find_filter *filter, struct catalog *catalog,
			  struct error *err)
{
	struct tag_search search = { .filter = filter, .err = err };

	return filter->tag ? catalog_visit_commits(catalog, visit_commit, &search, err)
			   : 0;
}

/* Matching. */

static int newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

static bool is_tagged(const struct find_filter *filter, uint64_t commit)
{
	if (!filter->tag)
		return true;
	return filter->commit_count > 0 &&
	       bsearch(&commit, filter->commits, filter->commit_count, sizeof(commit),
		       newest_first);
}

static bool is_below(const struct bytes *folder, const uint8_t *key, size_t key_size)
{
	if (folder->size == 0)
		return true;
	return key_size >= folder->size && memcmp(key, folder->data, folder->size) == 0 &&
	       (key_size == folder->size || key[folder->size] == '\0');
}

static bool is_newer(const struct find_filter *filter, const struct entry_time *time)
{
	int64_t seconds = filter->newer / (int64_t)NS_PER_SECOND;
	int64_t nanoseconds = filter->newer % (int64_t)NS_PER_SECOND;

	if (nanoseconds < 0) {
		nanoseconds += (int64_t)NS_PER_SECOND;
		seconds--;
	}
	if (time->seconds != seconds)
		return time->seconds > seconds;
	return time->nanoseconds > (uint32_t)nanoseconds;
}

static bool has_size(const struct find_filter *filter, const struct version_row *row)
{
	if (filter->size_min == 0 && filter->size_max == UINT64_MAX)
		return true;
	return row->type == ENTRY_FILE && row->size >= filter->size_min &&
	       row->size <= filter->size_max;
}

static bool has_hash(const struct find_filter *filter, const struct version_row *row)
{
	char hex[HASH_HEX_SIZE];

	if (!filter->hash[0])
		return true;
	hash_to_hex(&row->hash, hex);
	return row->type == ENTRY_FILE &&
	       strncmp(hex, filter->hash, strlen(filter->hash)) == 0;
}

static int has_name(const struct find_filter *filter, const uint8_t *key, size_t key_size,
		    enum entry_type type)
{
	autofree char *path = NULL;
	autofree char *absolute = NULL;

	if (!filter->name)
		return 1;
	if (key_to_path(key, key_size, &path) < 0)
		return -ENOMEM;
	if (asprintf(&absolute, "/%s", path) < 0) {
		absolute = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	return glob_match(filter->name, absolute, type == ENTRY_DIRECTORY);
}

int find_filter_match(const struct find_filter *filter, const uint8_t *key,
		      size_t key_size, const struct version_row *row)
{
	if (!is_below(&filter->folder, key, key_size) ||
	    (filter->type && row->type != filter->type) || !has_size(filter, row) ||
	    !has_hash(filter, row) ||
	    (filter->has_newer && !is_newer(filter, &row->mtime)) ||
	    !is_tagged(filter, row->first))
		return 0;
	return has_name(filter, key, key_size, row->type);
}
