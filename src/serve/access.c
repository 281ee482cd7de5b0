/* SPDX-License-Identifier: MIT */
/* A token comes with each request, in a header that only programs and our own page can set; or
 * a browser sends the cookie of a session, by itself. So a cookie counts only in requests that
 * our own page, or the person in front of it, has made: a SameSite cookie does not come from
 * other sites, but does from other ports of the same machine, so what the browser says about
 * the origin is looked at as well. For the same reason cookies are of no use to the pages that
 * [server] cors_origins lets in; they send a token.
 *
 * Wrong tokens are counted for each machine; who has tried too many is not even heard. Cookies
 * are not counted: they go stale by themselves.
 */
#include "serve/access.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "serve/answer.h"
#include "serve/client.h"
#include "serve/connection.h"
#include "serve/peer.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EXPOSED                                                                     \
	"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, " \
	"Last-Modified, Retry-After"
#define ALLOWED                                                                 \
	"Authorization, If-Match, If-Modified-Since, If-None-Match, If-Range, " \
	"If-Unmodified-Since, Range"
#define PREFLIGHT_AGE "600" /* seconds that a browser keeps the answer */

int access_check_host(struct request *request, struct error *err)
{
	const struct config *config = request->server->options->archive.config;
	const char *host = connection_header(request, "Host");

	if (!host || connection_count_header(request, "Host") != 1)
		return error_set(err, -EINVAL, "there must be one Host header");
	if (request->target.authority)
		host = request->target.authority;
	if (server_knows_host(config, host))
		return 0;
	answer_problem(request, 421,
		       "this server is not called that; [server] hosts "
		       "has the names that it answers to");
	return 1;
}

/* Pages of others. */

/* The Origin of the request if it is one of [server] cors_origins, or NULL. */
static const char *known_origin(const struct request *request)
{
	const struct config *config = request->server->options->archive.config;
	const struct config_strings *origins = &config->server.cors_origins;
	const char *origin = connection_header(request, "Origin");

	for (size_t i = 0; origin && i < origins->count; i++)
		if (strcmp(origins->items[i], origin) == 0)
			return origin;
	return NULL;
}

bool access_is_preflight(const struct request *request)
{
	return strcmp(request->method, "OPTIONS") == 0 &&
	       connection_header(request, "Access-Control-Request-Method") &&
	       known_origin(request);
}

/* An answer differs by the origin that asks, if any is known at all. */
int access_add_cors(struct request *request, struct error *err)
{
	const struct config *config = request->server->options->archive.config;
	const char *origin = known_origin(request);
	int r = 0;

	if (config->server.cors_origins.count > 0)
		r = answer_header(request, "Vary", "Origin", err);
	if (r < 0 || !origin)
		return r;
	r = answer_header(request, "Access-Control-Allow-Origin", origin, err);
	if (r == 0 && !access_is_preflight(request))
		return answer_header(request, "Access-Control-Expose-Headers", EXPOSED,
				     err);
	if (r == 0)
		r = answer_header(request, "Access-Control-Allow-Methods", "GET, HEAD",
				  err);
	if (r == 0)
		r = answer_header(request, "Access-Control-Allow-Headers", ALLOWED, err);
	return r < 0 ? r
		     : answer_header(request, "Access-Control-Max-Age", PREFLIGHT_AGE,
				     err);
}

/* Whether our own page, or a person, has made the request. */
static bool is_our_own(const struct request *request)
{
	const char *site = connection_header(request, "Sec-Fetch-Site");
	const char *origin = connection_header(request, "Origin");
	const char *host = connection_header(request, "Host");

	if (site)
		return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
	if (!origin)
		return true;
	origin = strstr(origin, "://");
	return origin && host && strcasecmp(origin + 3, host) == 0;
}

/* Tokens. */

/* The token of an Authorization header, or NULL. */
static const char *sent_token(const struct request *request)
{
	const char *text = connection_header(request, "Authorization");

	if (!text || strncasecmp(text, "Bearer ", 7) != 0)
		return NULL;
	return text + 7 + strspn(text + 7, " ");
}

/* Copy what the token may, since the file may be replaced meanwhile. */
static int copy_token(struct request *request, const struct token *token,
		      struct error *err)
{
	struct bytes prefix = { 0 };

	if (token->prefix.size > 0) {
		prefix.data = malloc(token->prefix.size);
		if (!prefix.data)
			return error_set(err, -ENOMEM, "no memory for a token");
		memcpy(prefix.data, token->prefix.data, token->prefix.size);
		prefix.size = token->prefix.size;
	}
	request->token = *token;
	request->token.prefix = prefix;
	request->known = true;
	return 0;
}

/* Have the token with the hash @hash. False: there is none. */
static bool take_token(struct request *request, const struct hash *hash, int *r,
		       struct error *err)
{
	struct server *server = request->server;
	const struct token *token;
	mutex_scope(&server->mutex);

	token = server->tokens ? token_file_find_hash(server->tokens, hash) : NULL;
	if (token)
		*r = copy_token(request, token, err);
	return token;
}

static int find_sent(struct request *request, struct error *err)
{
	struct server *server = request->server;
	struct peer *peer = client_peer(request->client);
	const char *text = sent_token(request);
	struct hash hash;
	int r = 0;

	if (!text)
		return error_set(err, -EPERM,
				 "a token is needed: Authorization: Bearer ...");
	if (!peers_may_try(&server->peers, peer))
		return error_set(err, -EDQUOT, "too many wrong tokens: wait a little");
	hash_bytes(text, strlen(text), &hash);
	if (take_token(request, &hash, &r, err))
		return r;
	peers_failed(&server->peers, peer);
	return error_set(err, -EPERM, "this token is not known");
}

int access_find(struct request *request, struct error *err)
{
	struct server *server = request->server;
	const char *session = connection_cookie(request, ACCESS_COOKIE);
	struct hash hash;
	int r = 0;

	if (!server->options->token_file) {
		request->known = true;
		return 0;
	}
	if (!session || connection_header(request, "Authorization") ||
	    !is_our_own(request))
		return find_sent(request, err);
	if (sessions_find(&server->sessions, session, clock_monotonic_ns(), &hash) &&
	    take_token(request, &hash, &r, err))
		return r;
	return error_set(err, -EPERM, "the session is over");
}
