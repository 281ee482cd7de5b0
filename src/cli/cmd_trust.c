/* SPDX-License-Identifier: MIT */
/* trust: what is remembered of servers (remote/trust.h): list it, forget it, or accept what a
 * server has now although it does not follow from what was seen there.
 */
#include "cli/print.h"
#include "cli/remote_options.h"

#include "archive/head.h"
#include "base/error.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/text.h"
#include "remote/http_url.h"
#include "remote/trust.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_record(const struct trust *trust, struct text *line)
{
	struct json_writer json;

	json_writer_init(&json, line);
	json_write_object(&json, NULL);
	json_write_string(&json, "url", trust->url);
	json_write_hex(&json, "archive", trust->archive.bytes, HASH_SIZE);
	json_write_u64(&json, "sequence", trust->sequence);
	json_write_hex(&json, "head", trust->head.bytes, HASH_SIZE);
	if (!hash_is_zero(&trust->pin))
		json_write_hex(&json, "pin", trust->pin.bytes, HASH_SIZE);
	json_write_i64(&json, "seen", trust->seen);
	json_write_end(&json);
	if (json_writer_finish(&json) < 0)
		text_clear(line);
}

static int print_record(void *context, const struct trust *trust)
{
	const struct invocation *invocation = context;
	struct entry_time seen = { .seconds = trust->seen };
	autotext struct text line = { 0 };
	char head[HASH_HEX_SIZE];

	if (invocation->json) {
		write_record(trust, &line);
		(void)printf("%s\n", text_string(&line));
		return 0;
	}
	hash_to_hex(&trust->head, head);
	append_time(&line, &seen);
	(void)printf("%s  %8" PRIu64 "  %s  %s\n", text_string(&line), trust->sequence,
		     head, trust->url);
	return 0;
}

static enum exit_code run_list(struct invocation *invocation)
{
	struct error err = { 0 };
	int r = trust_visit(print_record, invocation, &err);

	return r < 0 ? fail(r, &err) : CODE_DONE;
}

static enum exit_code run_forget(struct invocation *invocation)
{
	autofree char *url = NULL;
	struct error err = { 0 };
	int r;

	r = http_url_parse(options_argument(invocation->options, 0), &url, &err);
	if (r == 0)
		r = trust_forget(url, &err);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

/* With --pin, only that very commit is accepted. */
static int check_pin(const struct remote_options *options, const struct head *head,
		     const char *url, struct error *err)
{
	char hex[HASH_HEX_SIZE];
	struct hash pin;

	if (!options->pin ||
	    (hash_from_hex(options->pin, &pin) == 0 && hash_equal(&pin, &head->hash)))
		return 0;
	hash_to_hex(&head->hash, hex);
	return error_set(err, -ESTALE, "%s: the newest commit is %s", url, hex);
}

static int accept_head(const struct remote_options *options, struct error *err)
{
	struct head head = { 0 };
	autofree char *url = NULL;
	int r;

	r = remote_get_head(options, &url, &head, err);
	if (r == 0)
		r = check_pin(options, &head, url, err);
	if (r == 0)
		r = remote_accept(url, &head, err);
	if (r == 0)
		log_info("%s: commit %" PRIu64 " is accepted", url, head.sequence);
	head_done(&head);
	return r;
}

static enum exit_code run_accept(struct invocation *invocation)
{
	const struct remote_defaults defaults = {
		.url = options_argument(invocation->options, 0),
	};
	struct remote_options options;
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = remote_options_get(invocation, &defaults, &options);
	if (code != CODE_DONE)
		return code;
	r = accept_head(&options, &err);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

const struct command command_trust_list = {
	.name = "trust list",
	.summary = "list the servers that were read from",
	.usage = "",
	.details = "With the time, number and hash of the newest commit seen of each.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run_list,
};

const struct command command_trust_forget = {
	.name = "trust forget",
	.summary = "forget what was seen of a server",
	.usage = "URL",
	.details = "It is then a server that was never seen before.",
	.options = (const struct option_spec[]){ { 0 } },
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_forget,
};

const struct command command_trust_accept = {
	.name = "trust accept",
	.summary = "trust what a server has now",
	.usage = "[--pin HASH] URL",
	.details =
		"For a server that was set back, was continued from an older state, or "
		"has another archive,\nwhen that is as it should be. Mounts of it go on "
		"by themselves.",
	.options =
		(const struct option_spec[]){
			{ 0, "pin", "HASH", "only if its newest commit has this hash" },
			REMOTE_CONNECTION_OPTIONS,
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_accept,
};
