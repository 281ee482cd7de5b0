/* SPDX-License-Identifier: MIT */
/* Options that have a setting change the configuration before the archive is opened, so that
 * there is one way for them to reach the commit. Everything else becomes an array here.
 *
 * Where a source goes: PATH to its last component, as cp does; a path of --files-from keeps
 * its folders, since a list of files has many with one name.
 */
#include "cli/commit_request.h"

#include "base/error.h"
#include "base/glob.h"
#include "base/number.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARITY_DATA_MAX 200u
#define PARITY_MAX 16u
#define LEVEL_MIN (-7)
#define LEVEL_MAX 22
#define JOBS_MAX 256u

/* Checking. */

static int check_policy(struct invocation *invocation, struct error *err)
{
	const char *policy = option_value(invocation->options, "policy");

	if (!policy)
		return 0;
	if (strcmp(policy, "tiered") == 0)
		invocation->config.parity.policy = CONFIG_POLICY_TIERED;
	else if (strcmp(policy, "compact") == 0)
		invocation->config.parity.policy = CONFIG_POLICY_COMPACT;
	else
		return error_set(
			err, -EINVAL,
			"option '--policy': '%s' is neither 'tiered' nor 'compact'",
			policy);
	return 0;
}

/* "30+3" */
static int check_parity(struct invocation *invocation, struct error *err)
{
	const char *text = option_value(invocation->options, "parity");
	const char *plus = text ? strchr(text, '+') : NULL;
	autofree char *first = plus ? strndup(text, (size_t)(plus - text)) : NULL;
	uint64_t data;
	uint64_t parity;

	if (!text)
		return 0;
	if (!first || number_parse_u64(first, &data) < 0 ||
	    number_parse_u64(plus + 1, &parity) < 0 || data < 1 ||
	    data > PARITY_DATA_MAX || parity > PARITY_MAX)
		return error_set(err, -EINVAL,
				 "option '--parity': '%s' is not K+M with K from 1 to "
				 "%u and M up to %u",
				 text, PARITY_DATA_MAX, PARITY_MAX);
	invocation->config.parity.data = (uint32_t)data;
	invocation->config.parity.parity = (uint32_t)parity;
	return 0;
}

static int check_numbers(struct invocation *invocation, struct error *err)
{
	struct config *config = &invocation->config;
	uint64_t jobs = config->limits.jobs;
	int64_t level = config->compression.level;
	int r;

	r = option_i64(invocation->options, "level", LEVEL_MIN, LEVEL_MAX, &level, err);
	if (r == 0)
		r = option_u64(invocation->options, "jobs", 1, JOBS_MAX, &jobs, err);
	if (r < 0)
		return r;
	config->compression.level = (int32_t)level;
	config->limits.jobs = (uint32_t)jobs;
	return 0;
}

static int check_excludes(const struct options *options, struct error *err)
{
	const char *pattern;

	for (size_t i = 0; (pattern = option_nth(options, "exclude", i)); i++) {
		int r = glob_check(pattern, err);

		if (r < 0)
			return error_prefix(err, r, "option '--exclude'");
	}
	return 0;
}

static int check_tags(const struct options *options, struct error *err)
{
	const char *tag;

	for (size_t i = 0; (tag = option_nth(options, "tag", i)); i++) {
		size_t size = strcspn(tag, "=");

		if (size == 0 || tag[size] == '\0')
			return error_set(err, -EINVAL,
					 "option '--tag': '%s' is not KEY=VALUE", tag);
		for (size_t j = 0; j < i; j++)
			if (strncmp(option_nth(options, "tag", j), tag, size + 1) == 0)
				return error_set(err, -EINVAL,
						 "option '--tag': '%.*s' was given twice",
						 (int)size, tag);
	}
	return 0;
}

static int check_sources(const struct options *options, struct error *err)
{
	const char *list = option_value(options, "files-from");
	bool given = options_argument_count(options) > 0 || list ||
		     option_given(options, "file") || option_given(options, "stdin");

	if (!given)
		return error_set(err, -EINVAL, "nothing to commit was named");
	if (option_flag(options, "from0") && !list)
		return error_set(err, -EINVAL, "--from0 is for --files-from");
	if (list && strcmp(list, "-") == 0 && option_given(options, "stdin"))
		return error_set(
			err, -EINVAL,
			"--files-from - and --stdin can't both read standard input");
	return 0;
}

static int check_pairs(const struct options *options, struct error *err)
{
	static const char *const pairs[][3] = { { "dry-run", "verify" },
						{ "dry-run", "read-all" } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++)
		r = options_at_most_one(options, pairs[i], err);
	return r;
}

enum exit_code commit_request_check(struct invocation *invocation)
{
	const struct options *options = invocation->options;
	struct error err = { 0 };

	if (check_pairs(options, &err) < 0 || check_sources(options, &err) < 0 ||
	    check_policy(invocation, &err) < 0 || check_parity(invocation, &err) < 0 ||
	    check_numbers(invocation, &err) < 0 || check_excludes(options, &err) < 0 ||
	    check_tags(options, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	return CODE_DONE;
}

/* Sources. */

/* Append the components of @path but ".". -EINVAL for "..". */
static int append_components(struct text *text, const char *path)
{
	while (*(path += strspn(path, "/"))) {
		size_t size = strcspn(path, "/");
		int r = 0;

		if (size == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (size != 1 || path[0] != '.') {
			if (text->size > 0)
				r = text_append_char(text, '/');
			if (r == 0)
				r = text_append_bytes(text, path, size);
		}
		if (r < 0)
			return r;
		path += size;
	}
	return 0;
}

/* The whole of @path in the folder @into. */
static int keep_path(const char *path, const char *into, char **destination_out,
		     struct error *err)
{
	autotext struct text text = { 0 };
	int r;

	r = append_components(&text, into ? into : "");
	if (r == 0)
		r = append_components(&text, path);
	if (r == -EINVAL || (r == 0 && text.size == 0))
		return error_set(err, -EINVAL, "'%s' is no path in an archive", path);
	*destination_out = r == 0 ? text_take(&text) : NULL;
	return *destination_out ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* Put the source, with the @destination that is taken over, behind the others. */
static void add_source(struct commit_request *request, const char *path, int fd,
		       char *destination)
{
	request->sources[request->source_count++] = (struct commit_source){
		.path = path,
		.fd = fd,
		.destination = destination,
	};
}

static int add_path(struct commit_request *request, const char *path, const char *into,
		    bool keep, struct error *err)
{
	char *destination = NULL;
	int r;

	r = keep ? keep_path(path, into, &destination, err)
		 : commit_destination(path, into, &destination, err);
	if (r == 0)
		add_source(request, path, -1, destination);
	return r;
}

static int add_stream(struct commit_request *request, const char *name, const char *into,
		      struct error *err)
{
	char *destination = NULL;
	int r;

	r = keep_path(name, into, &destination, err);
	if (r == 0)
		add_source(request, NULL, STDIN_FILENO, destination);
	return r;
}

static size_t count_values(const struct options *options, const char *name)
{
	size_t count = 0;

	while (option_nth(options, name, count))
		count++;
	return count;
}

static int make_sources(struct commit_request *request, const struct options *options,
			struct error *err)
{
	const char *list = option_value(options, "files-from");
	const char *name = option_value(options, "stdin");
	const char *into = option_value(options, "into");
	size_t files = count_values(options, "file");
	int r = 0;

	if (list)
		r = path_list_read(&request->list, list, option_flag(options, "from0"),
				   err);
	if (r < 0)
		return r;
	request->sources =
		calloc(options_argument_count(options) + files + request->list.count + 1,
		       sizeof(*request->sources));
	if (!request->sources)
		return error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < options_argument_count(options); i++)
		r = add_path(request, options_argument(options, i), into, false, err);
	for (size_t i = 0; r == 0 && i < files; i++)
		r = add_path(request, option_nth(options, "file", i), into, false, err);
	for (size_t i = 0; r == 0 && i < request->list.count; i++)
		r = add_path(request, request->list.paths[i], into, true, err);
	if (r == 0 && name)
		r = add_stream(request, name, into, err);
	return r;
}

/* Excludes and tags. */

static int make_excludes(struct commit_request *request, const struct options *options,
			 const struct commit_options *configured, struct error *err)
{
	size_t more = count_values(options, "exclude");
	size_t count = configured->exclude_count;

	request->excludes = calloc(count + more + 1, sizeof(*request->excludes));
	if (!request->excludes)
		return error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		request->excludes[request->exclude_count++] = configured->excludes[i];
	for (size_t i = 0; i < more; i++)
		request->excludes[request->exclude_count++] =
			(char *)(uintptr_t)option_nth(options, "exclude",
						      i); /* only read */
	return 0;
}

static int make_tags(struct commit_request *request, const struct options *options,
		     struct error *err)
{
	size_t count = count_values(options, "tag");

	request->tags = calloc(count + 1, sizeof(*request->tags));
	if (!request->tags)
		return error_set(err, -ENOMEM, "out of memory");
	for (; request->tag_count < count; request->tag_count++) {
		const char *tag = option_nth(options, "tag", request->tag_count);
		size_t size = strcspn(tag, "=");
		char *key = strndup(tag, size);

		if (!key)
			return error_set(err, -ENOMEM, "out of memory");
		request->tags[request->tag_count] = (struct head_tag){
			.key = key,
			.value = (char *)(uintptr_t)(tag + size + 1), /* only read */
		};
	}
	return 0;
}

static void set_flags(const struct options *options, struct commit_options *to)
{
	to->replace = option_flag(options, "replace");
	to->exclude_caches = option_flag(options, "exclude-caches");
	if (option_flag(options, "one-file-system"))
		to->one_file_system = true;
	to->read_all = option_flag(options, "read-all");
	to->dry_run = option_flag(options, "dry-run");
	to->verify = option_flag(options, "verify");
	to->message = option_value(options, "message");
}

int commit_request_make(struct commit_request *request,
			const struct invocation *invocation,
			const struct archive *archive, struct commit_options *options,
			struct error *err)
{
	int r;

	commit_options_init(options, archive);
	set_flags(invocation->options, options);
	r = make_sources(request, invocation->options, err);
	if (r == 0)
		r = make_excludes(request, invocation->options, options, err);
	if (r == 0)
		r = make_tags(request, invocation->options, err);
	options->sources = request->sources;
	options->source_count = request->source_count;
	options->excludes = request->excludes;
	options->exclude_count = request->exclude_count;
	options->tags = request->tags;
	options->tag_count = request->tag_count;
	return r;
}

void commit_request_done(struct commit_request *request)
{
	for (size_t i = 0; i < request->source_count; i++)
		free((char *)(uintptr_t)request->sources[i].destination); /* ours */
	for (size_t i = 0; i < request->tag_count; i++)
		free(request->tags[i].key);
	free(request->sources);
	free(request->excludes);
	free(request->tags);
	path_list_done(&request->list);
}
