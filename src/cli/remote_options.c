/* SPDX-License-Identifier: MIT */
#include "cli/remote_options.h"

#include "archive/head.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number.h"
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

static enum exit_code refuse_without_remote(const struct invocation *invocation,
					    const struct remote_defaults *defaults)
{
	static const char *const names[] = { "pin",         "tofu",   "token-file",
					     "plain-token", "cacert", "cache-dir",
					     "cache-size",  "timeout" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (option_given(invocation->options, names[i]))
			return fail_usage(invocation, "--%s goes with --remote",
					  names[i]);
	if (defaults->token_file || defaults->ca_file || defaults->pin ||
	    defaults->cache_directory || defaults->cache_size || defaults->timeout ||
	    defaults->tofu || defaults->plain_token)
		return fail_usage(invocation,
				  "some words of -o are for the archive of a server");
	return CODE_DONE;
}

static int get_numbers(const char *size, const char *timeout,
		       struct remote_options *remote, struct error *err)
{
	uint64_t seconds = REMOTE_TIMEOUT;

	if (size && size_parse(size, &remote->cache_size) < 0)
		return error_set(err, -EINVAL, "--cache-size: '%s' is no size", size);
	if (size && !remote->cache_directory)
		return error_set(err, -EINVAL, "--cache-size goes with --cache-dir");
	if (timeout && (number_parse_u64(timeout, &seconds) < 0 || seconds < 1 ||
			seconds > TIMEOUT_MAX))
		return error_set(err, -EINVAL,
				 "--timeout: '%s' is not a number from 1 to %u", timeout,
				 TIMEOUT_MAX);
	remote->timeout = (unsigned)seconds;
	return 0;
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

/* A flag, or what holds without it. */
static const char *word_of(const struct invocation *invocation, const char *name,
			   const char *word)
{
	const char *value = value_of(invocation, name);

	return value ? value : word;
}

enum exit_code remote_options_get(const struct invocation *invocation,
				  const struct remote_defaults *defaults,
				  struct remote_options *remote_out)
{
	static const struct remote_defaults none;
	const struct remote_defaults *words = defaults ? defaults : &none;
	const struct options *options = invocation->options;
	struct remote_options remote = {
		.url = word_of(invocation, "remote", words->url),
		.token_file = word_of(invocation, "token-file", words->token_file),
		.plain_token = option_flag(options, "plain-token") || words->plain_token,
		.ca_file = word_of(invocation, "cacert", words->ca_file),
		.pin = word_of(invocation, "pin", words->pin),
		.tofu = words->tofu || (has_option(invocation->command, "tofu") &&
					option_flag(options, "tofu")),
		.cache_directory =
			word_of(invocation, "cache-dir", words->cache_directory),
		.cache_size = REMOTE_CACHE_SIZE,
	};
	struct error err = { 0 };

	*remote_out = (struct remote_options){ 0 };
	if (!remote.url || !remote.url[0])
		return refuse_without_remote(invocation, words);
	if (get_numbers(word_of(invocation, "cache-size", words->cache_size),
			word_of(invocation, "timeout", words->timeout), &remote,
			&err) < 0 ||
	    check_pin(&remote, &err) < 0)
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
