/* SPDX-License-Identifier: MIT */
/* cat: the content of one file to standard output; nothing is printed that was not verified,
 * and it stops with an error at the first byte that is lost. What is here is read frame by
 * frame; what another machine has is read ahead, as a mount does.
 */
#include "cli/command.h"
#include "cli/remote_options.h"
#include "cli/session.h"
#include "cli/version_lookup.h"

#include "archive/archive.h"
#include "archive/open_file.h"
#include "archive/read_service.h"
#include "archive/reader.h"
#include "base/error.h"
#include "base/file.h"
#include "chunker/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define AHEAD_STEP (1u << 20) /* bytes */

struct range {
	uint64_t offset;
	uint64_t size;
};

/* The part of [offset, offset + size) that lies within the content. */
static void clamp_range(struct range *range, uint64_t content_size)
{
	if (range->offset > content_size)
		range->offset = content_size;
	if (range->size > content_size - range->offset)
		range->size = content_size - range->offset;
}

static int copy_out(const struct content *content, struct reader *reader,
		    struct range range, struct error *err)
{
	autofree uint8_t *buf = malloc(FRAME_SIZE_MAX);
	uint64_t position = range.offset;
	uint64_t end = range.offset + range.size;
	int r;

	if (!buf)
		return error_set(err, -ENOMEM, "out of memory");
	while (position < end) {
		uint64_t frame_end;
		size_t n;

		if (atomic_load(&interrupted))
			return error_set(err, -EINTR, "interrupted");
		r = content_frame_end(content, reader, position, &frame_end, err);
		n = r < 0 ? 0 : (size_t)((frame_end < end ? frame_end : end) - position);
		if (r == 0)
			r = content_read(content, reader, position, buf, n, err);
		if (r < 0)
			return error_prefix(err, r, "byte %" PRIu64, position);
		r = write_full(STDOUT_FILENO, buf, n);
		if (r < 0)
			return error_set_errno(err, r, "standard output");
		position += n;
	}
	return 0;
}

/* From another machine: as far ahead as the way to it wants. */
static int copy_out_ahead(struct archive *archive, const struct manifest *manifest,
			  struct range range, struct error *err)
{
	autofree uint8_t *buf = malloc(AHEAD_STEP);
	autoptr(read_service) service = NULL;
	autoptr(open_file) file = NULL;
	uint64_t position = range.offset;
	uint64_t end = range.offset + range.size;
	int r;

	if (!buf)
		return error_set(err, -ENOMEM, "out of memory");
	r = read_service_open(archive, &service, err);
	if (r == 0)
		r = open_file_new(service, manifest, &file, err);
	while (r == 0 && position < end) {
		uint64_t left = end - position;
		size_t n = 0;

		if (atomic_load(&interrupted))
			return error_set(err, -EINTR, "interrupted");
		r = open_file_read(file, position, buf,
				   left < AHEAD_STEP ? (size_t)left : AHEAD_STEP, &n,
				   err);
		if (r < 0)
			return error_prefix(err, r, "byte %" PRIu64, position);
		r = write_full(STDOUT_FILENO, buf, n);
		if (r < 0)
			return error_set_errno(err, r, "standard output");
		position += n;
	}
	return r;
}

static int cat(struct archive *archive, const struct manifest *manifest,
	       struct range range, struct error *err)
{
	autoptr(content) content = NULL;
	autoptr(reader) reader = NULL;
	int r;

	if (manifest->type != ENTRY_FILE)
		return error_set(err, -EINVAL, "is a %s, not a file",
				 entry_type_name(manifest->type));
	r = content_open(manifest, &content, err);
	if (r < 0)
		return r;
	clamp_range(&range, content_size(content));
	if (archive_origin(archive))
		return copy_out_ahead(archive, manifest, range, err);
	r = reader_new(archive_source(archive), NULL, &reader, err);
	if (r < 0)
		return r;
	return copy_out(content, reader, range, err);
}

static enum exit_code run(struct invocation *invocation)
{
	const struct options *options = invocation->options;
	const char *path = options_argument(options, 0);
	struct range range = { 0, UINT64_MAX };
	autoptr(archive) archive = NULL;
	struct manifest manifest = { 0 };
	struct version_row row = { 0 };
	struct error err = { 0 };
	uint64_t number = 0;
	enum exit_code code;
	uint64_t at;
	int r;

	if (options_at_most_one(options, (const char *[]){ "version", "at", NULL },
				&err) < 0 ||
	    option_u64(options, "version", 1, UINT32_MAX, &number, &err) < 0 ||
	    option_u64(options, "offset", 0, UINT64_MAX, &range.offset, &err) < 0 ||
	    option_u64(options, "length", 0, UINT64_MAX, &range.size, &err) < 0)
		return fail_usage(invocation, "%s", err.text);
	code = session_open(invocation, SESSION_READ, &archive);
	if (code == CODE_DONE)
		code = session_commit_at(invocation, archive, &at);
	if (code != CODE_DONE)
		return code;

	interrupt_catch();
	r = version_lookup(archive, path, number, at, &row, &manifest, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	r = cat(archive, &manifest, range, &err);
	manifest_done(&manifest);
	version_row_done(&row);
	session_note_repairs(invocation, archive);
	if (r == 0)
		return CODE_DONE;
	(void)error_prefix(&err, r, "'%s'", path);
	return session_fail_read(archive, r, &err);
}

const struct command command_cat = {
	.name = "cat",
	.summary = "print the content of one file",
	.usage = "[--version N | --at COMMIT] [--offset B] [--length B] PATH",
	.details = "Nothing is printed that was not verified. At the first byte that is "
		   "lost beyond repair it\nstops, and exits with 4.",
	.options =
		(const struct option_spec[]){
			{ 0, "version", "N", "this version of PATH" },
			{ 0, "at", "COMMIT", "as of this commit (number or hash)" },
			{ 0, "offset", "B", "begin at this byte" },
			{ 0, "length", "B", "at most so many bytes" },
			REMOTE_OPTIONS,
			{ 0 },
		},
	.arguments_min = 1,
	.arguments_max = 1,
	.without_json = true,
	.run = run,
};
