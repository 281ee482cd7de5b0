/* SPDX-License-Identifier: MIT */
#include "remote/server.h"

#include "archive/head.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "remote/http.h"
#include "remote/remote.h"
#include "remote/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_FILE_MAX 4096u /* bytes */

/* The file's first line. */
static int read_token(const char *path, char **token_out, struct error *err)
{
	uint8_t *data = NULL;
	size_t size;
	int r;

	r = file_read_all(AT_FDCWD, path, TOKEN_FILE_MAX, &data, &size, err);
	if (r < 0)
		return r;
	*token_out = (char *)data;
	(*token_out)[strcspn(*token_out, "\r\n")] = '\0';
	for (const char *c = *token_out; *c; c++)
		if (*c <= ' ' || *c > '~')
			r = -EINVAL;
	if (r == 0 && !(*token_out)[0])
		r = -EINVAL;
	if (r == 0)
		return 0;
	free(*token_out);
	*token_out = NULL;
	return error_set(err, r, "'%s': its first line is no token", path);
}

int server_open(const struct remote_options *options, struct http **http_out,
		struct error *err)
{
	autofree char *token = NULL;
	int r = 0;

	if (options->token_file)
		r = read_token(options->token_file, &token, err);
	if (r < 0)
		return r;
	return http_new(&(struct http_options){ .url = options->url,
						.token = token,
						.plain_token = options->plain_token,
						.ca_file = options->ca_file,
						.timeout = options->timeout },
			http_out, err);
}

void server_archive(const struct head *head, struct hash *id_out)
{
	*id_out = head->sequence ? head->archive_id : head->hash;
}

int server_get_head(struct http *http, char *etag, bool once, struct text *json,
		    struct head *head_out, struct error *err)
{
	int r;

	r = http_get(http,
		     &(struct http_request){ .target = "/v1/head",
					     .etag = etag,
					     .once = once,
					     .text = json,
					     .text_max = HEAD_SIZE_MAX },
		     err);
	if (r != 0)
		return r == -ENOENT
			       ? error_prefix(err, -EIO, "this is no archive's server")
			       : r;
	r = head_decode(text_string(json), json->size, head_out, err);
	return r < 0 ? error_prefix(err, r, "%s: the server's head", http_url(http)) : 0;
}

int remote_get_head(const struct remote_options *options, char **url_out,
		    struct head *head_out, struct error *err)
{
	autotext struct text json = { 0 };
	autoptr(http) http = NULL;
	char *url;
	int r;

	r = server_open(options, &http, err);
	if (r < 0)
		return r;
	url = strdup(http_url(http));
	if (!url)
		return error_set(err, -ENOMEM, "no memory for a URL");
	r = server_get_head(http, NULL, false, &json, head_out, err);
	if (r < 0)
		free(url);
	else
		*url_out = url;
	return r;
}

int remote_accept(const char *url, const struct head *head, struct error *err)
{
	struct trust trust = { .url = (char *)(uintptr_t)url, /* borrowed */
			       .sequence = head->sequence,
			       .head = head->hash };

	server_archive(head, &trust.archive);
	return trust_store(&trust, err);
}
