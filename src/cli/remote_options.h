/* SPDX-License-Identifier: MIT */
#pragma once
/* The options of commands that read an archive which another machine serves. Main thread. */
#include "cli/command.h"
#include "remote/remote.h"

/* Rows for a command's table: how to get at a server, and which one to read from. */
/* clang-format off */
#define REMOTE_CONNECTION_OPTIONS                                                       \
	{ 0, "token-file", "FILE", "send the token in FILE's first line to the server" }, \
	{ 0, "plain-token", NULL, "send it over plain HTTP, too" },                     \
	{ 0, "cacert", "FILE", "certificates to trust, in place of the system's" },     \
	{ 0, "timeout", "S", "seconds to wait for a server that is away; default: 30" }
#define REMOTE_OPTIONS                                                                  \
	{ 'r', "remote", "URL", "read the archive that a server has" },                 \
	{ 0, "pin", "HASH", "its commits must descend from this one" },                 \
	{ 0, "tofu", NULL, "trust a server that was never seen before" },               \
	REMOTE_CONNECTION_OPTIONS,                                                      \
	{ 0, "cache-dir", "DIR", "keep what was got from the server in DIR" },          \
	{ 0, "cache-size", "SIZE", "bytes to keep there; default: 1 GiB" }
/* clang-format on */

/* Whether the command has REMOTE_OPTIONS. */
bool remote_options_allowed(const struct command *command);

/* What holds where a flag is not given: words of -o, configuration. All borrowed; NULL, or for
 * the URL empty, too: nothing. */
struct remote_defaults {
	const char *url;
	const char *token_file;
	const char *ca_file;
	const char *pin;
	const char *cache_directory;
	const char *cache_size;
	const char *timeout;
	bool tofu;
	bool plain_token;
};

/* What the options say, and the defaults (NULL: none); strings are borrowed. CODE_USAGE after
 * having said why; CODE_DONE, with url NULL if there is none. */
enum exit_code remote_options_get(const struct invocation *invocation,
				  const struct remote_defaults *defaults,
				  struct remote_options *remote_out);

/* See to it that the server can be trusted: if it was never seen, ask whoever sits at the
 * terminal. CODE_DONE also when remote_open() will say no. */
enum exit_code remote_introduce(const struct remote_options *options);
