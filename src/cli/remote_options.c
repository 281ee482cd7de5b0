/* SPDX-License-Identifier: MIT */
#include "cli/remote_options.h"

#include "archive/head.h"
#include "base/error.h"
#include "base/log.h"
#include "base/size.h"
#include "base/text.h"
#include "cli/print.h"
#include "remote/http_url.h"
#include "remote/trust.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MAX 86400u /* seconds */

static bool has_option(const struct command *command, const char *name)
{
	const struct option_spec *spec = command->options;

	while (spec && spec->name && strcmp(spec->name, name) != 0)
		spec++;
	return spec && spec->name;
}

bool remote_options_allowed(const struct command *command)
{
	return has_option(command, "remote");
}

static const char *value_of(const struct invocation *invocation, const char *name)
{
	return has_option(invocation->command, name)
		       ? option_value(invocation->options, name)
		       : NULL;
}

static enum exit_code refuse_without_remote(const struct invocation *invocation)
{
	static const char *const names[] = { "pin",         "tofu",   "token-file",
					     "plain-token", "cacert", "cache-dir",
					     "cache-size",  "timeout" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (option_given(invocation->options, names[i]))
			return fail_usage(invocation, "--%s goes with --remote",
					  names[i]);
	return CODE_DONE;
}

static int get_numbers(const struct invocation *invocation, struct remote_options *remote,
		       struct error *err)
{
	const char *size = value_of(invocation, "cache-size");
	uint64_t timeout = REMOTE_TIMEOUT;
	int r;

	if (size && size_parse(size, &remote->cache_size) < 0)
		return error_set(err, -EINVAL, "--cache-size: '%s' is no size", size);
	if (size && !remote->cache_directory)
		return error_set(err, -EINVAL, "--cache-size goes with --cache-dir");
	r = option_u64(invocation->options, "timeout", 1, TIMEOUT_MAX, &timeout, err);
	remote->timeout = (unsigned)timeout;
	return r;
}

static int check_pin(const struct remote_options *remote, struct error *err)
{
	struct hash hash;

	if (remote->pin && remote->tofu)
		return error_set(err, -EINVAL, "--pin and --tofu can't be used together");
	if (remote->pin && hash_from_hex(remote->pin, &hash) < 0)
		return error_set(err, -EINVAL,
				 "--pin: '%s' is not a hash of 64 hex digits; "
				 "'blockframe log' shows them",
				 remote->pin);
	return 0;
}

enum exit_code remote_options_get(const struct invocation *invocation, const char *url,
				  struct remote_options *remote_out)
{
	const struct options *options = invocation->options;
	struct remote_options remote = {
		.url = value_of(invocation, "remote"),
		.token_file = option_value(options, "token-file"),
		.plain_token = option_flag(options, "plain-token"),
		.ca_file = option_value(options, "cacert"),
		.pin = option_value(options, "pin"),
		.tofu = has_option(invocation->command, "tofu") &&
			option_flag(options, "tofu"),
		.cache_directory = value_of(invocation, "cache-dir"),
		.cache_size = REMOTE_CACHE_SIZE,
	};
	struct error err = { 0 };
	enum exit_code code;

	if (!remote.url && url && url[0])
		remote.url = url;
	if (!remote.url) {
		code = refuse_without_remote(invocation);
		*remote_out = (struct remote_options){ 0 };
		return code;
	}
	if (get_numbers(invocation, &remote, &err) < 0 || check_pin(&remote, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	*remote_out = remote;
	return CODE_DONE;
}

/* Whether who sits at the terminal says yes. */
static bool ask(const char *url, const struct head *head)
{
	autotext struct text when = { 0 };
	char hash[HASH_HEX_SIZE];
	char answer[16] = "";

	hash_to_hex(&head->hash, hash);
	append_time(&when, &head->time);
	(void)fprintf(
		stderr,
		"%s was never seen before.\n"
		"Its newest commit is number %" PRIu64 " of %s, with the hash\n"
		"  %s\n"
		"Is that right ('blockframe log' on the server's side says so)? [y/N] ",
		url, head->sequence, text_string(&when), hash);
	(void)fflush(stderr);
	return fgets(answer, sizeof(answer), stdin) &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

static enum exit_code introduce(const struct remote_options *options, struct error *err)
{
	struct head head = { 0 };
	char *url = NULL;
	int r;

	r = remote_get_head(options, &url, &head, err);
	if (r == 0 && ask(url, &head))
		r = remote_accept(url, &head, err);
	else if (r == 0)
		r = error_set(err, -EPERM, "%s is not trusted", url);
	head_done(&head);
	free(url);
	return r < 0 ? fail(r, err) : CODE_DONE;
}

enum exit_code remote_introduce(const struct remote_options *options)
{
	autotrust trust = { 0 };
	autofree char *url = NULL;
	struct error err = { 0 };

	if (options->pin || options->tofu || !isatty(STDIN_FILENO) ||
	    !isatty(STDERR_FILENO))
		return CODE_DONE;
	if (http_url_parse(options->url, &url, &err) < 0 ||
	    trust_load(url, &trust, &err) != -ENOENT)
		return CODE_DONE;
	return introduce(options, &err);
}
