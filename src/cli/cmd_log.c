/* SPDX-License-Identifier: MIT */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/remote_options.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/head.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "catalog/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct log_context {
	const struct invocation *invocation;
	struct error err;
};

static void print_tags(const struct head *head)
{
	for (size_t i = 0; i < head->tag_count; i++) {
		(void)fputs(i ? " " : "  [", stdout);
		print_name(head->tags[i].key, strlen(head->tags[i].key));
		(void)putchar('=');
		print_name(head->tags[i].value, strlen(head->tags[i].value));
	}
	if (head->tag_count)
		(void)putchar(']');
}

static void print_head(const struct head *head, bool full)
{
	autotext struct text when = { 0 };
	char hex[HASH_HEX_SIZE];

	append_time(&when, &head->time);
	hash_to_hex(&head->hash, hex);
	(void)printf("%6" PRIu64 "  %.*s  %s", head->sequence, full ? 64 : 12, hex,
		     text_string(&when));
	print_tags(head);
	if (head->message) {
		(void)fputs("  ", stdout);
		print_name(head->message, strlen(head->message));
	} else if (head->sequence == 0) {
		(void)fputs("  (the archive was made)", stdout);
	}
	(void)putchar('\n');
}

static int visit(void *context, const struct commit_row *commit)
{
	struct log_context *log = context;
	struct head head = { 0 };
	int r;

	if (log->invocation->json) {
		(void)printf("%s\n", commit->head);
		return 0;
	}
	r = head_decode(commit->head, strlen(commit->head), &head, &log->err);
	if (r < 0)
		return r;
	print_head(&head, option_flag(log->invocation->options, "full"));
	head_done(&head);
	return 0;
}

static enum exit_code run(struct invocation *invocation)
{
	struct log_context log = { .invocation = invocation };
	autoptr(archive) archive = NULL;
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	r = catalog_visit_commits(archive_catalog(archive), visit, &log, &log.err);
	return r < 0 ? session_fail_lookup(r, &log.err) : CODE_DONE;
}

const struct command command_log = {
	.name = "log",
	.summary = "list the commits, newest first",
	.usage = "[--full]",
	.details = "Each line: number, hash, time, tags, message. With --json: one head "
		   "a line.",
	.options =
		(const struct option_spec[]){
			{ 0, "full", NULL, "whole hashes" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.run = run,
};
