/* SPDX-License-Identifier: MIT */
/* Paths that scripts know from BlockFrame's ancestor, in its shapes. A <name> is a whole path,
 * with its slashes escaped. What the ancestor called a tier is a class of sizes; a segment is
 * a piece of 32 MiB of the content. */
#include "serve/op.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "catalog/listing.h"
#include "serve/answer.h"
#include "serve/content.h"
#include "serve/look_up.h"
#include "serve/parameter.h"
#include "serve/producer.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define WRITE_SIZE (32u << 10) /* bytes */
#define MB UINT64_C(1000000)

struct list {
	struct request *request;
	int fd;
	bool any;
	struct text text;
};

static unsigned tier_of(uint64_t size)
{
	return size < 10 * MB ? 1 : size < 1000 * MB ? 2 : size < 35000 * MB ? 3 : 4;
}

static int flush(struct list *list, struct error *err)
{
	int r = write_full(list->fd, list->text.data, list->text.size);

	text_clear(&list->text);
	return r < 0 ? error_set_errno(err, r, "pipe") : 0;
}

/* Sizes are JSON numbers here, as they were. */
static int append_file(struct list *list, const uint8_t *key, size_t size,
		       const struct version_row *row)
{
	autofree char *path = NULL;
	autotext struct text name = { 0 };
	struct json_writer json;
	int r;

	r = key_to_path(key, size, &path);
	if (r < 0)
		return r;
	json_writer_init(&json, &name);
	json_write_object(&json, NULL);
	json_write_bytes(&json, "name", path, strlen(path));
	json_write_end(&json);
	r = json_writer_finish(&json);
	if (r < 0)
		return r;
	text_truncate(&name, name.size - 1); /* the brace */
	r = text_appendf(&list->text, "%s\n%s,\"size\":%" PRIu64 ",\"tier\":%u}",
			 list->any ? "," : "", name.data, row->size, tier_of(row->size));
	list->any = true;
	return r;
}

static int visit(void *context, const uint8_t *key, size_t size,
		 const struct version_row *row, struct error *err)
{
	struct list *list = context;
	struct request *request = list->request;
	enum token_reach reach = token_reach(&request->token, key, size);
	int r;

	if (atomic_load(&request->server->closing))
		return error_set(err, -EINTR, "the server stops");
	if (reach == TOKEN_REFUSES)
		return WALK_SKIP;
	if (row->type != ENTRY_FILE || reach != TOKEN_REACHES)
		return 0;
	r = append_file(list, key, size, row);
	if (r < 0)
		return error_set(err, r, "no memory for an answer");
	return list->text.size >= WRITE_SIZE ? flush(list, err) : 0;
}

static int produce_list(struct request *request, struct catalog *catalog, int fd,
			struct error *err)
{
	struct list list = { .request = request, .fd = fd };
	int r;

	r = text_append(&list.text, "[");
	if (r == 0)
		r = catalog_walk(catalog, NULL, 0, VERSION_CURRENT, visit, &list, err);
	if (r == 0)
		r = text_append(&list.text, "\n]\n");
	if (r == 0)
		r = flush(&list, err);
	text_done(&list.text);
	return r;
}

int op_known_list(struct request *request, struct error *err)
{
	return producer_answer(request, "application/json", produce_list, err);
}

/* The file that is named. */
static int look_up_name(struct request *request, struct found *found, struct error *err)
{
	int r;

	r = parameter_name(request, err);
	if (r == 0)
		r = look_up(request, VERSION_CURRENT, 0, false, found, err);
	if (r == 0 && (found->top || found->manifest.type != ENTRY_FILE))
		r = error_set(err, -ENOENT, "this is no file");
	return r;
}

int op_known_file(struct request *request, struct error *err)
{
	autofound found = { 0 };
	int r = look_up_name(request, &found, err);

	return r < 0 ? r : content_answer(request, &found.manifest, err);
}

int op_known_manifest(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	autofound found = { 0 };
	int r;

	r = look_up_name(request, &found, err);
	if (r == 0)
		r = text_append(&text, "{\"manifest\":");
	if (r == 0)
		r = look_up_line(request, &found.row, &text, err);
	if (r == 0)
		r = text_append(&text, "}\n");
	return r < 0 ? r : answer_text(request, 200, "application/json", &text, err);
}

int op_known_segment(struct request *request, struct error *err)
{
	autofound found = { 0 };
	int r = look_up_name(request, &found, err);

	return r < 0 ? r
		     : content_answer_piece(request, &found.manifest, request->number,
					    err);
}
