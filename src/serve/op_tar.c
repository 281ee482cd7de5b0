/* SPDX-License-Identifier: MIT */
#include "serve/op.h"

#include "archive/backing.h"
#include "archive/tar.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "serve/answer.h"
#include "serve/http_target.h"
#include "serve/look_up.h"
#include "serve/parameter.h"
#include "serve/producer.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void log_problem(void *context, enum restore_problem problem, const char *path,
			uint64_t offset, uint64_t size, const struct error *err)
{
	const struct request *request = context;

	if (problem == RESTORE_LOST)
		log_error("%s: '%s': bytes %" PRIu64 " to %" PRIu64 " are lost: %s",
			  request->raw, path, offset, offset + size - 1, err->text);
	else
		log_warn("%s: '%s': %s", request->raw, path, err->text);
}

static int produce(struct request *request, struct catalog *catalog, int fd,
		   struct error *err)
{
	struct restore_summary summary;
	uint64_t at = request->number;
	const struct restore_options options = {
		.keys = &request->key,
		.key_count = 1,
		.at = at,
		.catalog = catalog,
		.cancel = &request->server->closing,
		.report = { .problem = log_problem, .context = request },
	};

	return tar_write(backing_archive(request->backing), &options, fd, &summary, err);
}

/* The name that a browser saves it by. */
static int add_name(struct request *request, struct error *err)
{
	const struct bytes *key = &request->key;
	size_t size = key->size ? key_name_size(key->data, key->size) : 0;
	autotext struct text text = { 0 };
	int r;

	r = text_append(&text, "attachment; filename*=UTF-8''");
	if (r == 0)
		r = size ? http_escape(&text, key->data + key->size - size, size)
			 : text_append(&text, "archive");
	if (r == 0)
		r = text_append(&text, ".tar");
	return r < 0 ? r
		     : answer_header(request, "Content-Disposition", text_string(&text),
				     err);
}

int op_tar(struct request *request, struct error *err)
{
	autofound found = { 0 };
	int r;

	/* The commit is kept in the place of the number that the path has not. */
	r = parameter_commit(request, true, &request->number, err);
	if (r == 0)
		r = look_up(request, request->number, 0, false, &found, err);
	if (r == 0)
		r = producer_answer(request, "application/x-tar", produce, err);
	return r < 0 ? r : add_name(request, err);
}
