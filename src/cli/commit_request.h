/* SPDX-License-Identifier: MIT */
#pragma once
/* What the command line of `commit` asks for: checked, and turned into the options of
 * archive/commit.h. Main thread.
 */
#include "archive/commit.h"
#include "cli/command.h"
#include "cli/path_list.h"

struct commit_request {
	struct commit_source *sources; /* owned, with their destinations */
	size_t source_count;
	struct path_list list; /* of --files-from */
	char **excludes;       /* owned; the patterns are borrowed */
	size_t exclude_count;
	struct head_tag *tags; /* owned, with their keys; values are borrowed */
	size_t tag_count;
};

/* Check everything that can be checked without an archive, and put what has a setting into
 * invocation->config. CODE_DONE, or CODE_USAGE after having said why. */
enum exit_code commit_request_check(struct invocation *invocation);

/* Fill *request and *options, which borrows from *request, @invocation and @archive.
 * Release with commit_request_done(), also after an error. */
int commit_request_make(struct commit_request *request,
			const struct invocation *invocation,
			const struct archive *archive, struct commit_options *options,
			struct error *err);
void commit_request_done(struct commit_request *request);
