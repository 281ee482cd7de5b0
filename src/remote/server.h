/* SPDX-License-Identifier: MIT */
#pragma once
/* A server, as its options say, and the head that it has. Any thread. */
#include <stdbool.h>

struct error;
struct hash;
struct head;
struct http;
struct remote_options;
struct text;

/* Errors of http_new(), and of reading the token. The caller frees *http_out. */
int server_open(const struct remote_options *options, struct http **http_out,
		struct error *err);

/* The server's newest head, appended to @json and decoded; release with head_done(). With an
 * @etag (http_request), HTTP_NOT_MODIFIED if it is still that one. */
int server_get_head(struct http *http, char *etag, bool once, struct text *json,
		    struct head *head_out, struct error *err);

/* The id of the archive that @head is of. */
void server_archive(const struct head *head, struct hash *id_out);
