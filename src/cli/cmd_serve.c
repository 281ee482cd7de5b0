/* SPDX-License-Identifier: MIT */
/* serve: offers the archive over HTTP. Runs in the foreground, as service managers want it;
 * where it listens is decided here, before anything else is opened: what others can reach
 * takes TLS and tokens, or a word that it shall be so.
 */
#include "cli/command.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"
#include "serve/listen.h"
#include "serve/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PEM_MAX (1u << 20) /* bytes */

struct serve_command {
	struct invocation *invocation;
	const char *directory; /* borrowed */
	const char *base_path; /* borrowed; "" or without a slash at the end */
	char *base;            /* owned: that */
	char *certificate;     /* owned: PEM, NULL: none */
	char *private_key;     /* owned */
	int sockets[SERVER_SOCKETS_MAX];
	size_t socket_count;
	bool inherited;
};

static const char *option_of(const struct serve_command *command, const char *name)
{
	return option_value(command->invocation->options, name);
}

static int read_pem(const char *path, char **text_out, struct error *err)
{
	uint8_t *data = NULL;
	size_t size;
	int r;

	if (!path)
		return 0;
	r = file_read_all(AT_FDCWD, path, PEM_MAX, &data, &size, err);
	*text_out = (char *)data;
	return r;
}

static int find_port(const struct serve_command *command, uint16_t *port_out,
		     struct error *err)
{
	const char *text = option_of(command, "port");
	uint64_t number = command->invocation->config.server.default_port;

	if (text && (number_parse_u64(text, &number) < 0 || number > UINT16_MAX))
		return error_set(err, -EINVAL,
				 "--port: '%s' is not a number from 0 to 65535", text);
	*port_out = (uint16_t)number;
	return 0;
}

/* "/x/y/" and "x/y" are "/x/y"; "/" is "". */
static int find_base(struct serve_command *command, struct error *err)
{
	const char *text = option_of(command, "base-path");
	autotext struct text base = { 0 };
	int r = 0;

	while (r == 0 && text && *text) {
		size_t size = strcspn(text, "/");

		if (size > 0)
			r = text_appendf(&base, "/%.*s", (int)size, text);
		text += size + (text[size] == '/');
	}
	if (r < 0)
		return error_set(err, r, "no memory for a path");
	if (strpbrk(text_string(&base), "%?# ") || strstr(text_string(&base), "/."))
		return error_set(err, -EINVAL,
				 "--base-path: '%s' would not be the same in a URL",
				 text_string(&base));
	command->base = base.size ? text_take(&base) : NULL;
	command->base_path = command->base ? command->base : "";
	return 0;
}

/* The sockets of the service manager, or else of --listen and --port. */
static int open_sockets(struct serve_command *command, struct error *err)
{
	const char *address = "127.0.0.1";
	uint16_t port = 0;
	int r;

	r = find_port(command, &port, err);
	if (r < 0)
		return r;
	r = listen_inherit(command->sockets, SERVER_SOCKETS_MAX, err);
	if (r != 0) {
		command->inherited = true;
		command->socket_count = r < 0 ? 0 : (size_t)r;
		return r < 0 ? r : 0;
	}
	for (size_t i = 0;
	     i == 0 || option_nth(command->invocation->options, "listen", i); i++) {
		if (i == SERVER_SOCKETS_MAX)
			return error_set(err, -EINVAL, "--listen: at most %u addresses",
					 SERVER_SOCKETS_MAX);
		if (option_nth(command->invocation->options, "listen", i))
			address = option_nth(command->invocation->options, "listen", i);
		r = listen_open(address, port, &command->sockets[i], err);
		if (r < 0)
			return r;
		command->socket_count++;
	}
	return 0;
}

/* Others must not get in, or listen in, unless that is wanted. */
static int check_safety(const struct serve_command *command, struct error *err)
{
	bool local = true;

	for (size_t i = 0; i < command->socket_count; i++)
		local = local && listen_is_local(command->sockets[i]);
	if (local || option_flag(command->invocation->options, "insecure"))
		return 0;
	if (!command->certificate)
		return error_set(
			err, -EINVAL,
			"other machines could read what is sent: give --cert and "
			"--key, or --insecure");
	if (!option_of(command, "token-file"))
		return error_set(err, -EINVAL,
				 "anybody could read the archive: give --token-file, or "
				 "--insecure");
	return 0;
}

static int prepare(struct serve_command *command, struct error *err)
{
	const char *certificate = option_of(command, "cert");
	const char *key = option_of(command, "key");
	int r;

	if (!certificate != !key)
		return error_set(err, -EINVAL, "--cert and --key go together");
	r = find_base(command, err);
	if (r == 0)
		r = read_pem(certificate, &command->certificate, err);
	if (r == 0)
		r = read_pem(key, &command->private_key, err);
	if (r == 0)
		r = open_sockets(command, err);
	return r < 0 ? r : check_safety(command, err);
}

static int open_log(const struct serve_command *command, struct error *err)
{
	const char *path = option_of(command, "log");
	int fd;

	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return error_set_errno(err, -errno, "log '%s'", path);
	(void)close(fd);
	log_set_target(LOG_TARGET_FILE);
	return 0;
}

/* Who waits for this line may ask. */
static void on_ready(void *context)
{
	const struct serve_command *command = context;

	for (size_t i = 0; i < command->socket_count; i++) {
		autotext struct text name = { 0 };

		if (listen_append_name(command->sockets[i], &name) < 0)
			continue;
		log_info("'%s' is served at %s://%s%s/", command->directory,
			 command->certificate ? "https" : "http", text_string(&name),
			 command->base_path);
	}
}

static enum exit_code serve_archive(struct serve_command *command)
{
	struct invocation *invocation = command->invocation;
	const struct server_options options = {
		.archive = { .directory = command->directory,
			     .config = &invocation->config,
			     .write_back = true },
		.sockets = command->sockets,
		.socket_count = command->socket_count,
		.inherited = command->inherited,
		.base_path = command->base_path,
		.token_file = option_of(command, "token-file"),
		.certificate = command->certificate,
		.private_key = command->private_key,
		.ready = on_ready,
		.context = command,
	};
	struct error err = { 0 };
	int r;

	r = serve(&options, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	log_info("'%s' is served no more", command->directory);
	return CODE_DONE;
}

static enum exit_code run_command(struct serve_command *command)
{
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_directory(command->invocation, &command->directory);
	if (code != CODE_DONE)
		return code;
	r = prepare(command, &err);
	if (r == -EINVAL)
		return fail_usage(command->invocation, "%s", err.text);
	if (r == 0)
		r = open_log(command, &err);
	return r < 0 ? fail(r, &err) : serve_archive(command);
}

static enum exit_code run(struct invocation *invocation)
{
	struct serve_command command = { .invocation = invocation };
	enum exit_code code = run_command(&command);

	free(command.base);
	free(command.certificate);
	free(command.private_key);
	return code;
}

const struct command command_serve = {
	.name = "serve",
	.summary = "offer the archive over HTTP",
	.usage = "[-p PORT] [--listen ADDRESS] [--token-file FILE] [--cert FILE --key "
		 "FILE]",
	.details =
		"Read-only. Files and folders are at /files/, the API at /v1/, and told "
		"about at /docs.\nOnly this machine can reach it unless --listen names "
		"another address, which takes TLS\nand tokens. SIGTERM ends it after the "
		"answers under way; SIGHUP reads the tokens again.",
	.options =
		(const struct option_spec[]){
			{ 'p', "port", "PORT",
			  "default: [server] default_port; 0: any that is free" },
			{ 0, "listen", "ADDRESS",
			  "IP address to listen on; default: 127.0.0.1", true },
			{ 0, "base-path", "PATH",
			  "what stands before all paths, behind a proxy" },
			{ 0, "token-file", "FILE",
			  "let in only who has one of these tokens" },
			{ 0, "cert", "FILE",
			  "certificate for TLS, with its chain (PEM)" },
			{ 0, "key", "FILE", "private key of the certificate (PEM)" },
			{ 0, "insecure", NULL,
			  "let others reach it without TLS or tokens" },
			{ 0, "log", "FILE",
			  "append messages to FILE, not to standard error" },
			{ 0 },
		},
	.without_json = true,
	.run = run,
};
