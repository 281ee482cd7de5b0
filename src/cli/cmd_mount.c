/* SPDX-License-Identifier: MIT */
/* mount: shows the archive as a folder. The process that was started ends when the mount
 * answers; the one that serves it lives on in the background.
 *
 * Started under the name mount.blockframe, the program understands what mount(8) passes on
 * from fstab; main.c rewrites that (mount_helper.h).
 */
#include "cli/command.h"
#include "cli/remote_options.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number.h"
#include "base/size.h"
#include "mount/daemon.h"
#include "mount/mountpoint.h"
#include "mount/options.h"
#include "mount/session.h"
#include "remote/http_url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define JOBS_MAX 256u

struct mount_command {
	struct invocation *invocation;
	struct mount_options options;
	char *mountpoint; /* owned */
	char *directory;  /* owned: the archive's, absolute; or the server's URL */
	struct remote_options remote; /* url NULL: the archive is here */
	int log_fd;                   /* -1: none */
	struct daemon daemon;
};

/* A flag goes before the same word of -o. */
static const char *setting(const struct mount_command *command, const char *flag,
			   const char *word)
{
	const char *value = option_value(command->invocation->options, flag);

	return value ? value : word;
}

static int apply_settings(struct mount_command *command, struct error *err)
{
	struct config *config = &command->invocation->config;
	const char *cache = setting(command, "cache", command->options.cache);
	const char *jobs = setting(command, "jobs", command->options.jobs);
	uint64_t number = 0;

	if (cache && size_parse(cache, &config->cache.max_size) < 0)
		return error_set(err, -EINVAL, "--cache: '%s' is no size", cache);
	if (cache) /* the limit in segments must not be in the way */
		config->cache.max_segments = CONFIG_CACHE_SEGMENTS_MAX;
	if (jobs &&
	    (number_parse_u64(jobs, &number) < 0 || number < 1 || number > JOBS_MAX))
		return error_set(err, -EINVAL,
				 "--jobs: '%s' is not a number from 1 to %u", jobs,
				 JOBS_MAX);
	if (jobs)
		config->limits.jobs = (uint32_t)number;
	return 0;
}

static int parse_options(struct mount_command *command, struct error *err)
{
	const struct options *options = command->invocation->options;
	const char *text;
	int r = 0;

	for (size_t i = 0; r == 0 && (text = option_nth(options, "options", i)); i++)
		r = mount_options_parse(text, &command->options, err);
	return r < 0 ? r : apply_settings(command, err);
}

/* Whether @path is @folder or lies in it; both absolute and canonical. */
static bool lies_in(const char *path, const char *folder)
{
	size_t size = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	return strncmp(path, folder, size) == 0 &&
	       (path[size] == '/' || path[size] == '\0');
}

/* The folder of the volumes; NULL if it is not there, which opening the archive reports. */
static char *find_volumes(const struct mount_command *command)
{
	const char *name = command->invocation->config.volume.directory;
	autofree char *path = NULL;

	if (asprintf(&path, "%s%s%s", name[0] == '/' ? "" : command->directory,
		     name[0] == '/' ? "" : "/", name) < 0)
		path = NULL; /* undefined after a failure */
	return path ? realpath(path, NULL) : NULL;
}

/* A mount that covers its own archive would wait for itself, and one among the volumes would
 * be in the way of whoever copies or checks them. */
static int check_mountpoint(const struct mount_command *command, struct error *err)
{
	const char *mountpoint = command->mountpoint;
	autofree char *volumes = find_volumes(command);

	if (lies_in(command->directory, mountpoint))
		return error_set(err, -EINVAL,
				 "the archive lies in '%s': mount it somewhere else",
				 mountpoint);
	if (volumes && (lies_in(volumes, mountpoint) || lies_in(mountpoint, volumes)))
		return error_set(err, -EINVAL,
				 "the archive's volumes are in '%s': mount it outside of "
				 "there",
				 volumes);
	return 0;
}

/* Paths are made absolute: the background has another working folder. */
static enum exit_code find_places(struct mount_command *command, struct error *err)
{
	const struct invocation *invocation = command->invocation;
	const char *directory;
	const char *mountpoint = option_value(invocation->options, "mountpoint");
	enum exit_code code;
	int r;

	if (!mountpoint)
		mountpoint = invocation->config.mount.default_mountpoint;
	if (!mountpoint[0])
		return fail_usage(invocation,
				  "where to? Give --mountpoint, or set [mount] "
				  "default_mountpoint");
	if (command->remote.url) {
		r = http_url_parse(command->remote.url, &command->directory, err);
		if (r == 0)
			r = mountpoint_path(mountpoint, &command->mountpoint, err);
		return r < 0 ? fail(r, err) : CODE_DONE;
	}
	code = session_directory(invocation, &directory);
	if (code != CODE_DONE)
		return code;
	command->directory = realpath(directory, NULL);
	if (!command->directory)
		return fail(error_set_errno(err, -errno, "archive '%s'", directory), err);
	r = mountpoint_path(mountpoint, &command->mountpoint, err);
	if (r == 0)
		r = check_mountpoint(command, err);
	return r < 0 ? fail(r, err) : CODE_DONE;
}

static int open_log(struct mount_command *command, struct error *err)
{
	const char *path = setting(command, "log", command->options.log);

	if (!path)
		return 0;
	command->log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	return command->log_fd < 0 ? error_set_errno(err, -errno, "log '%s'", path) : 0;
}

/* The kernel has begun to ask: who waits may use the mount. */
static void on_ready(void *context)
{
	struct mount_command *command = context;

	if (command->daemon.pipe_fd >= 0) {
		daemon_detach(command->log_fd);
		log_set_target(command->log_fd >= 0 ? LOG_TARGET_FILE
						    : LOG_TARGET_SYSLOG);
	}
	log_info("'%s' is mounted at '%s'", command->directory, command->mountpoint);
	daemon_tell(&command->daemon, CODE_DONE);
}

static enum exit_code run_session(struct mount_command *command, struct origin *origin)
{
	const struct config *config = &command->invocation->config;
	const struct session_options options = {
		.archive = { .directory = command->directory,
			     .config = config,
			     .origin = origin,
			     .write_back = true },
		.mountpoint = command->mountpoint,
		.at = setting(command, "at", command->options.at),
		.fuse_options = text_string(&command->options.fuse),
		.masks = command->options.masks,
		.ready = on_ready,
		.context = command,
	};
	struct error err = { 0 };
	enum exit_code code = CODE_DONE;
	int r;

	r = session_run(&options, &err);
	if (r < 0)
		code = session_fail_lookup(r, &err);
	else
		log_info("'%s' is unmounted", command->mountpoint);
	return code;
}

static enum exit_code serve_remote(struct mount_command *command)
{
	autoptr(remote) remote = NULL;
	struct error err = { 0 };
	int r;

	command->remote.watch = true;
	r = remote_open(&command->remote, &remote, &err);
	return r < 0 ? fail(r, &err) : run_session(command, remote_origin(remote));
}

static enum exit_code serve(struct mount_command *command)
{
	enum exit_code code =
		command->remote.url ? serve_remote(command) : run_session(command, NULL);

	daemon_tell(&command->daemon, code);
	return code;
}

/* The server to mount from: --remote, or [mount] default_remote, unless an archive is named. */
static enum exit_code find_remote(struct mount_command *command)
{
	const struct invocation *invocation = command->invocation;
	const struct mount_options *words = &command->options;
	const struct remote_defaults defaults = {
		.url = invocation->archive_flag ? NULL
						: invocation->config.mount.default_remote,
		.token_file = words->token_file,
		.ca_file = words->ca_file,
		.pin = words->pin,
		.cache_directory = words->cache_directory,
		.cache_size = words->cache_size,
		.timeout = words->timeout,
		.tofu = words->tofu,
		.plain_token = words->plain_token,
	};
	enum exit_code code = remote_options_get(invocation, &defaults, &command->remote);

	if (code == CODE_DONE && command->remote.url && invocation->archive_flag)
		return fail_usage(invocation,
				  "--archive and --remote can't be used together");
	if (code == CODE_DONE && command->remote.url)
		code = remote_introduce(&command->remote);
	return code;
}

static enum exit_code mount_archive(struct mount_command *command)
{
	struct error err = { 0 };
	enum exit_code code;
	int r;

	r = parse_options(command, &err);
	if (r == -EINVAL)
		return fail_usage(command->invocation, "%s", err.text);
	if (r == 0)
		r = open_log(command, &err);
	if (r < 0)
		return fail(r, &err);
	code = find_remote(command);
	if (code == CODE_DONE)
		code = find_places(command, &err);
	if (code != CODE_DONE)
		return code;
	if (!option_flag(command->invocation->options, "foreground")) {
		int told = CODE_FAILED;

		r = daemon_start(&command->daemon, &told);
		if (r < 0)
			return fail(error_set_errno(&err, r, "new process"), &err);
		if (r > 0)
			return (enum exit_code)told;
	}
	return serve(command);
}

static enum exit_code run(struct invocation *invocation)
{
	struct mount_command command = { .invocation = invocation,
					 .log_fd = -1,
					 .daemon = { .pipe_fd = -1 } };
	enum exit_code code = mount_archive(&command);

	mount_options_done(&command.options);
	cleanup_close_p(&command.log_fd);
	free(command.mountpoint);
	free(command.directory);
	return code;
}

const struct command command_mount = {
	.name = "mount",
	.summary = "show the archive as a read-only folder",
	.usage = "[-r URL [--pin HASH | --tofu]] [-m DIR] [-f] [-o OPTION,...] [--at "
		 "COMMIT]",
	.details =
		"Returns when the folder can be used; 'blockframe umount' ends it. What "
		"is read is verified,\nand repaired first where it is damaged. New "
		"commits appear by themselves. Earlier ones are\nin the hidden folder "
		".blockframe/commits.\n\nWith --remote the archive is that of "
		"'blockframe serve' on another machine. Nothing that comes\nfrom there "
		"is believed: names, attributes and content are proved by the hash of "
		"one commit,\nwhich was seen there before, is given with --pin, or is "
		"trusted the first time (--tofu).",
	.options =
		(const struct option_spec[]){
			{ 'm', "mountpoint", "DIR",
			  "where; default: [mount] default_mountpoint" },
			{ 'f', "foreground", NULL, "stay in the foreground" },
			{ 'o', "options", "OPTION,...", "mount options, as in fstab",
			  true },
			{ 0, "at", "COMMIT", "show this commit (number or hash) only" },
			{ 0, "cache", "SIZE", "decoded data to keep; default: [cache]" },
			{ 'j', "jobs", "N", "cores to use; default: [limits] jobs" },
			{ 0, "log", "FILE", "append messages to FILE, not to syslog" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.without_json = true,
	.run = run,
};
