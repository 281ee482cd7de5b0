/* SPDX-License-Identifier: MIT */
/* Entries by name, type or content, of the whole tree or below a folder. A hash is looked up;
 * everything else reads all names, so only a few of these run at a time.
 *
 * Results are in the order of the tree, and a page can be continued behind its last entry;
 * those of a hash are not, and there are as many as fit. */
#include "serve/op.h"

#include "base/error.h"
#include "base/glob.h"
#include "base/text.h"
#include "catalog/listing.h"
#include "catalog/search.h"
#include "serve/answer.h"
#include "serve/http_target.h"
#include "serve/look_up.h"
#include "serve/parameter.h"
#include "serve/request.h"
#include "serve/server.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIMIT_DEFAULT 100u
#define LIMIT_MAX 1000u

struct finding {
	struct request *request;
	const char *name; /* a pattern, or a part of a name; NULL: any */
	bool is_pattern;
	struct search search;
	char hash[HASH_HEX_SIZE];
	struct bytes cursor; /* owned: behind this key */
	uint64_t limit;

	struct text text;
	uint64_t count;
	bool full;
};

static bool has_part(const struct bytes *name, const char *part)
{
	size_t size = strlen(part);

	for (size_t i = 0; i + size <= name->size; i++)
		if (strncasecmp((const char *)name->data + i, part, size) == 0)
			return true;
	return false;
}

/* 1, 0 or -ENOMEM. */
static int has_name(const struct finding *finding, const struct version_row *row)
{
	autotext struct text name = { 0 };

	if (!finding->name)
		return 1;
	if (!finding->is_pattern)
		return has_part(&row->name, finding->name);
	if (text_append_bytes(&name, row->name.data, row->name.size) < 0)
		return -ENOMEM;
	return glob_match(finding->name, text_string(&name),
			  row->type == ENTRY_DIRECTORY);
}

/* Whether the entry is one of those that are looked for, on this page. 1, 0 or -ENOMEM. */
static int matches(const struct finding *finding, const uint8_t *key, size_t size,
		   const struct version_row *row)
{
	const struct bytes *cursor = &finding->cursor;
	const struct bytes *folder = &finding->request->key;

	if (cursor->data && key_compare(key, size, cursor->data, cursor->size) <= 0)
		return 0;
	if (finding->search.type && finding->search.type != row->type)
		return 0;
	if (size < folder->size ||
	    (folder->size > 0 && (memcmp(key, folder->data, folder->size) != 0 ||
				  (size > folder->size && key[folder->size] != '\0'))))
		return 0;
	return has_name(finding, row);
}

static int keep_cursor(struct finding *finding, const uint8_t *key, size_t size)
{
	uint8_t *data = realloc(finding->cursor.data, size ?: 1);

	if (!data)
		return -ENOMEM;
	memcpy(data, key, size);
	finding->cursor = (struct bytes){ data, size };
	return 0;
}

static int visit(void *context, const uint8_t *key, size_t size,
		 const struct version_row *row, struct error *err)
{
	struct finding *finding = context;
	int r;

	r = request_is_wanted(finding->request, err);
	if (r < 0)
		return r;
	r = matches(finding, key, size, row);
	if (r <= 0)
		return r;
	if (finding->count >= finding->limit || finding->text.size >= SERVER_BLOCK_SIZE) {
		finding->full = true;
		return -ECANCELED; /* that is all for this page */
	}
	r = text_append(&finding->text, finding->count ? ",\n" : "\n");
	if (r == 0)
		r = look_up_line(finding->request, row, &finding->text, err);
	if (r == 0)
		r = keep_cursor(finding, key, size);
	finding->count++;
	return r;
}

static int find(struct finding *finding, struct error *err)
{
	struct request *request = finding->request;
	const struct bytes *key = &request->key;
	int r;

	r = request_take_catalog(request, err);
	if (r == 0)
		r = request_begin_scan(request, err);
	if (r < 0)
		return r;
	if (key->size == 0 || finding->search.hash)
		r = catalog_search(request->catalog, &finding->search, visit, finding,
				   err);
	else
		r = catalog_walk(request->catalog, key->data, key->size,
				 finding->search.at, visit, finding, err);
	if (r == -ENOENT)
		return error_set(err, r, "no such path in the archive");
	if (r == -ENOMEM)
		return error_set(err, r, "no memory for an answer");
	return r == -ECANCELED ? 0 : r;
}

/* What a restricted token asks for is looked for where it reaches. */
static int find_folder(struct request *request, struct error *err)
{
	int r = parameter_path(request, "path", err);

	if (r < 0)
		return r;
	if (token_reach(&request->token, request->key.data, request->key.size) ==
	    TOKEN_LEADS_THERE)
		request->key = request->token.prefix;
	return request_check_reach(request, request->key.data, request->key.size, err);
}

static int find_type(struct finding *finding, struct error *err)
{
	const char *text = http_target_parameter(&finding->request->target, "type");

	for (unsigned type = ENTRY_FILE; text && type <= ENTRY_BLOCK; type++)
		if (strcmp(text, entry_type_name((enum entry_type)type)) == 0) {
			finding->search.type = (enum entry_type)type;
			return 0;
		}
	return text ? error_set(err, -EINVAL, "parameter 'type': there is no such type")
		    : 0;
}

static int find_hash(struct finding *finding, struct error *err)
{
	const char *text = http_target_parameter(&finding->request->target, "hash");
	size_t size = text ? strlen(text) : 0;

	if (!text)
		return 0;
	if (size == 0 || size >= sizeof(finding->hash) ||
	    strspn(text, "0123456789abcdefABCDEF") != size)
		return error_set(err, -EINVAL,
				 "parameter 'hash': not 1 to 64 hexadecimal digits");
	for (size_t i = 0; i < size; i++)
		finding->hash[i] = (char)tolower((unsigned char)text[i]);
	finding->search.hash = finding->hash;
	return 0;
}

static int find_name(struct finding *finding, struct error *err)
{
	finding->name = http_target_parameter(&finding->request->target, "q");
	finding->is_pattern = finding->name && strpbrk(finding->name, "*?[\\");
	if (!finding->is_pattern)
		return 0;
	return glob_check(finding->name, err) < 0 || strchr(finding->name, '/')
		       ? error_set(err, -EINVAL, "parameter 'q': no pattern for a name")
		       : 0;
}

static int make_finding(struct finding *finding, struct error *err)
{
	struct request *request = finding->request;
	int r;

	finding->search.size_max = UINT64_MAX;
	r = find_folder(request, err);
	if (r == 0)
		r = parameter_commit(request, false, &finding->search.at, err);
	if (r == 0)
		r = parameter_number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX,
				     &finding->limit, err);
	if (r == 0)
		r = parameter_cursor(request, &finding->cursor, err);
	if (r == 0)
		r = find_type(finding, err);
	if (r == 0)
		r = find_hash(finding, err);
	return r < 0 ? r : find_name(finding, err);
}

static int end_page(struct finding *finding)
{
	bool goes_on = finding->full && !finding->search.hash;
	int r;

	r = text_appendf(&finding->text, "\n],\"complete\":%s",
			 finding->full ? "false" : "true");
	if (r == 0 && goes_on)
		r = text_append(&finding->text, ",\"cursor\":\"");
	if (r == 0 && goes_on)
		r = http_escape_key(&finding->text, finding->cursor.data,
				    finding->cursor.size);
	if (r == 0 && goes_on)
		r = text_append(&finding->text, "\"");
	return r < 0 ? r : text_append(&finding->text, "}\n");
}

int op_search(struct request *request, struct error *err)
{
	struct finding finding = { .request = request };
	int r;

	r = make_finding(&finding, err);
	if (r == 0 && text_append(&finding.text, "{\"entries\":[") < 0)
		r = error_set(err, -ENOMEM, "no memory for an answer");
	if (r == 0)
		r = find(&finding, err);
	if (r == 0 && end_page(&finding) < 0)
		r = error_set(err, -ENOMEM, "no memory for an answer");
	if (r == 0)
		r = answer_text(request, 200, "application/json", &finding.text, err);
	free(finding.cursor.data);
	text_done(&finding.text);
	return r;
}
