/* SPDX-License-Identifier: MIT */
#pragma once
/* An archive that a server has, for those who read it here and believe nothing that they can't
 * prove: what it needs to be opened like a local one (archive/origin.h), and a thread that
 * looks for new commits.
 *
 * One head has to be believed; all else follows from it. That is the highest head seen at
 * this URL before (remote/trust.h), or one that was pinned, or for the first time whatever
 * the server has (remote_introduce). A server that goes back behind it, that forks, or that
 * has another archive is not read from any more, until trust_store() says otherwise.
 *
 * Threads: open and free by one thread; no archive may be open on it then.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct head;
struct origin;
struct remote;
struct text;

struct remote_options {
	const char *url;
	const char *token_file; /* whose first line is the token; NULL: none */
	bool plain_token;       /* send it over plain HTTP */
	const char *ca_file;    /* NULL: the system's certificates */
	const char *pin;  /* hash of a head, all hex digits: accept it and what descends
			      * from it; NULL */
	bool tofu;        /* trust a server that was never seen before */
	unsigned timeout; /* seconds that reads wait for a server that is away */
	const char *cache_directory; /* NULL: nothing is kept on disk */
	uint64_t cache_size;         /* bytes */
	bool watch;                  /* look for new commits */
};
#define REMOTE_TIMEOUT 30u /* seconds; the default */
#define REMOTE_CACHE_SIZE (UINT64_C(1) << 30)

/* Get the server's head, prove that it may be believed, remember it. -ENOKEY: the server was
 * never seen, and neither pin nor tofu is given. -ESTALE: it may not be believed; the text
 * says why, and what to do. Errors of http_new() and http_get(). The caller frees
 * *remote_out. */
int remote_open(const struct remote_options *options, struct remote **remote_out,
		struct error *err);
/* Ends what is under way. NULL is a no-op. */
void remote_free(struct remote *remote);
DEFINE_AUTOPTR(remote);

struct origin *remote_origin(struct remote *remote);

/* The server's head as it is, believed or not. Release with head_done(). *url_out is the
 * URL as it is remembered; the caller frees it. */
int remote_get_head(const struct remote_options *options, char **url_out,
		    struct head *head_out, struct error *err);

/* Remember @head as that of @url, whatever was seen before. */
int remote_accept(const char *url, const struct head *head, struct error *err);
