/* SPDX-License-Identifier: MIT */
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/volume_set.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number.h"
#include "catalog/history.h"
#include "cli/remote_options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum exit_code session_directory(const struct invocation *invocation,
				 const char **directory_out)
{
	const char *directory = invocation->config.archive.directory;

	if (!directory[0])
		directory = ".";
	if (!archive_exists(directory)) {
		log_error("no archive at '%s': name one with --archive, or make one with "
			  "'blockframe init'",
			  directory);
		return CODE_NO_ARCHIVE;
	}
	*directory_out = directory;
	return CODE_DONE;
}

/* The server of the command's archive, which goes after it; one in a process. */
static struct remote *server;

void session_end(void)
{
	remote_free(server);
	server = NULL;
}

static enum exit_code open_remote(const struct invocation *invocation,
				  const struct remote_options *options,
				  struct archive **archive_out)
{
	enum exit_code code = remote_introduce(options);
	struct error err = { 0 };
	int r;

	if (code != CODE_DONE)
		return code;
	r = remote_open(options, &server, &err);
	if (r == 0)
		r = archive_open(
			&(struct archive_options){ .config = &invocation->config,
						   .origin = remote_origin(server) },
			archive_out, &err);
	return r < 0 ? fail(r, &err) : CODE_DONE;
}

enum exit_code session_open(const struct invocation *invocation, enum session_mode mode,
			    struct archive **archive_out)
{
	struct remote_options remote = { 0 };
	enum exit_code code = CODE_DONE;
	struct error err = { 0 };
	const char *directory;
	int r;

	if (remote_options_allowed(invocation->command))
		code = remote_options_get(invocation, NULL, &remote);
	if (code == CODE_DONE && remote.url)
		return open_remote(invocation, &remote, archive_out);
	if (code == CODE_DONE)
		code = session_directory(invocation, &directory);
	if (code != CODE_DONE)
		return code;
	r = archive_open(
		&(struct archive_options){
			.directory = directory,
			.config = &invocation->config,
			.writable = mode != SESSION_READ,
			.wait = mode == SESSION_WRITE_WAIT,
			.without_catalog = mode == SESSION_REBUILD,
		},
		archive_out, &err);
	if (r == -ENOENT) {
		log_error("%s", err.text);
		return CODE_NO_ARCHIVE;
	}
	if (r < 0)
		return session_fail_lookup(r, &err);
	if (archive_warning(*archive_out))
		log_warn("%s", archive_warning(*archive_out));
	return CODE_DONE;
}

enum exit_code session_interrupted(void)
{
	log_error("interrupted; the next run goes on from here");
	return CODE_INTERRUPTED;
}

enum exit_code session_fail_lookup(int r, const struct error *err)
{
	if (r != -EBADMSG || server || strstr(err->text, "catalog rebuild"))
		return fail(r, err);
	log_error("%s; 'blockframe catalog rebuild' makes the catalog again from the "
		  "volumes",
		  err->text);
	return CODE_FAILED;
}

enum exit_code session_fail_read(struct archive *archive, int r, const struct error *err)
{
	struct log_counters counters = { 0 };

	if (archive_origin(archive))
		return fail(r, err);
	volume_set_counters(archive_volumes(archive), &counters);
	if (r != -EBADMSG || counters.leaves_lost == 0)
		return session_fail_lookup(r, err);
	(void)fail(r, err);
	return CODE_LOST;
}

void session_note_repairs(const struct invocation *invocation, struct archive *archive)
{
	struct log_counters counters;

	if (archive_origin(archive))
		return;
	volume_set_counters(archive_volumes(archive), &counters);
	if (counters.leaves_repaired + counters.pages_repaired == 0 || invocation->quiet)
		return;
	log_warn(
		"%" PRIu64 " damaged leaves and %" PRIu64
		" damaged table pages were repaired in memory while reading; the volumes "
		"are as they were",
		counters.leaves_repaired, counters.pages_repaired);
}

static int find_commit(struct catalog *catalog, const char *text,
		       struct commit_row *commit, struct error *err)
{
	uint64_t sequence;
	int r = CATALOG_END;

	if (number_parse_u64(text, &sequence) == 0)
		r = catalog_get_commit(catalog, sequence, commit, err);
	if (r == CATALOG_END)
		r = catalog_find_commit(catalog, text, commit, err);
	return r;
}

enum exit_code session_commit_at(const struct invocation *invocation,
				 struct archive *archive, uint64_t *at_out)
{
	const char *text = option_value(invocation->options, "at");
	struct commit_row commit = { 0 };
	struct error err = { 0 };
	int r;

	*at_out = VERSION_CURRENT;
	if (!text)
		return CODE_DONE;
	r = find_commit(archive_catalog(archive), text, &commit, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	if (r == CATALOG_END) {
		log_error("no commit '%s'; 'blockframe log' lists them", text);
		return CODE_FAILED;
	}
	*at_out = commit.sequence;
	commit_row_done(&commit);
	return CODE_DONE;
}
