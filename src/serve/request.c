/* SPDX-License-Identifier: MIT */
/* In this order, so that nothing is said to who may not ask: the host, the token, then what
 * the target means; only for the page itself no token is needed. A path that a token does not reach is refused without a look at whether
 * it exists. */
#include "serve/request.h"

#include "archive/backing.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "serve/access.h"
#include "serve/answer.h"
#include "serve/client.h"
#include "serve/peer.h"
#include "serve/route.h"
#include "serve/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct request *request_new(struct server *server, const char *raw)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	atomic_store(&request->users, 1);
	request->server = server;
	request->begun = clock_monotonic_ns();
	request->raw = strdup(raw);
	if (request->raw)
		return request;
	free(request);
	return NULL;
}

void request_give_catalog(struct request *request)
{
	if (request->catalog)
		backing_give_catalog(request->backing, request->catalog);
	request->catalog = NULL;
}

static void give_back(struct request *request)
{
	request_give_catalog(request);
	if (request->scans)
		atomic_fetch_sub(&request->server->scans, 1);
	request->scans = false;
}

static void request_free(struct request *request)
{
	give_back(request);
	backing_unref(request->backing);
	http_target_done(&request->target);
	free(request->own_key.data);
	free(request->token.prefix.data);
	free(request->method);
	free(request->raw);
	free(request);
}

struct request *request_ref(struct request *request)
{
	atomic_fetch_add(&request->users, 1);
	return request;
}

void request_unref(struct request *request)
{
	if (request && atomic_fetch_sub(&request->users, 1) == 1)
		request_free(request);
}

void request_finish(struct request *request)
{
	if (request->response)
		MHD_destroy_response(request->response);
	request->response = NULL;
	request_unref(request);
}

/* What is asked for. */

static int check_parameters(const struct request *request, struct error *err)
{
	const struct http_target *target = &request->target;
	const struct route_parameter *parameter = request->route->parameters;

	for (size_t i = 0; i < target->parameter_count; i++)
		if (!route_has_parameter(request->route, target->parameters[i].name))
			return error_set(err, -EINVAL, "there is no parameter '%.64s'",
					 target->parameters[i].name);
	for (; parameter && parameter->name; parameter++)
		if (parameter->required &&
		    !http_target_parameter(target, parameter->name))
			return error_set(err, -EINVAL, "parameter '%s' is missing",
					 parameter->name);
	return 0;
}

/* What of the target's path is ours: behind the base path. */
static bool strip_base(const struct request *request, struct bytes *path_out)
{
	const char *base = request->server->options->base_path;
	struct bytes path = request->target.path;

	while (*base == '/') {
		size_t size = strcspn(++base, "/");

		if (path.size < size || memcmp(path.data, base, size) != 0 ||
		    (path.size > size && path.data[size] != '\0'))
			return false;
		path.data += size + (path.size > size);
		path.size -= size + (path.size > size);
		base += size;
	}
	*path_out = path;
	return true;
}

static void find_route(struct request *request)
{
	struct bytes path;

	if (strip_base(request, &path))
		request->route = route_find(&path, &request->key, &request->number);
}

/* What the method may be, as Allow says it. */
static int add_allow(struct request *request, struct error *err)
{
	const char *more = request->route ? request->route->more : NULL;
	autotext struct text text = { 0 };

	if (text_appendf(&text, "%s%s%s", ROUTE_ALLOW_READ, more ? ", " : "",
			 more ?: "") < 0)
		return error_set(err, -ENOMEM, "no memory for an answer");
	return answer_header(request, "Allow", text_string(&text), err);
}

static int answer_options(struct request *request, struct error *err)
{
	int r = answer_empty(request, 204, 0, err);

	return r < 0 ? r : add_allow(request, err);
}

/* Whether the route is for who asks, and as it is asked. */
static int check_route(struct request *request, struct error *err)
{
	if (!request->route)
		return error_set(err, -ENOENT,
				 "there is nothing here; /docs tells what there is");
	if (request->route->reach == ROUTE_WHOLE && request->token.restricted)
		return error_set(err, -EACCES, "this token is for paths below its own");
	return check_parameters(request, err);
}

/* What is open needs no token, and looks at one all the same. */
static int check_access(struct request *request, struct error *err)
{
	bool open = request->route && request->route->reach == ROUTE_OPEN;
	int r;

	if (!peers_take_request(&request->server->peers, client_peer(request->client)))
		return error_set(err, -EDQUOT, "too many requests: wait a little");
	r = access_find(request, err);
	return r == -EPERM && open ? 0 : r;
}

static int find_answer(struct request *request, struct error *err)
{
	bool options = strcmp(request->method, "OPTIONS") == 0;
	bool anything = options && strcmp(request->raw, "*") == 0;
	int r;

	r = http_target_parse(anything ? "/" : request->raw, &request->target, err);
	if (r == 0)
		r = access_check_host(request, err);
	if (r != 0)
		return r;
	if (access_is_preflight(request))
		return answer_options(request, err);
	if (!anything)
		find_route(request);
	r = check_access(request, err);
	if (r == 0 && !anything)
		r = check_route(request, err);
	if (r < 0)
		return r;
	if (options)
		return answer_options(request, err);
	if (!route_has_method(request->route, request->method)) {
		answer_problem(request, 405, "this is only to be read");
		return add_allow(request, err);
	}
	request->backing = server_backing(request->server);
	return request->route->answer(request, err);
}

static int run(struct task *task, unsigned worker, struct error *unused)
{
	struct request *request =
		(struct request *)((char *)task - offsetof(struct request, task));
	struct MHD_Connection *connection = request->connection;
	struct error err = { 0 };
	int r;

	(void)worker;
	(void)unused;
	r = find_answer(request, &err);
	give_back(request);
	if (r < 0)
		answer_error(request, r, &err);
	if (request->response)
		(void)access_add_cors(request, NULL);
	request->state = REQUEST_ANSWERED;
	MHD_resume_connection(connection); /* whose thread has the request from here on */
	return 0;
}

void request_submit(struct request *request)
{
	request->task.run = run;
	pool_submit(request->server->pool, &request->server->group, &request->task);
}

/* For routes. */

int request_take_catalog(struct request *request, struct error *err)
{
	if (request->catalog)
		return 0;
	return backing_take_catalog(request->backing, &request->catalog, err);
}

/* One handle is always left for those who only want a look. */
int request_begin_scan(struct request *request, struct error *err)
{
	struct server *server = request->server;
	unsigned most = config_jobs(server->options->archive.config);

	if (atomic_fetch_add(&server->scans, 1) >= (most < 7 ? most : 7)) {
		atomic_fetch_sub(&server->scans, 1);
		return error_set(err, -EBUSY, "too many searches at a time");
	}
	request->scans = true;
	return 0;
}

#define LOOK_EACH 256u /* calls */

int request_is_wanted(struct request *request, struct error *err)
{
	const struct config *config = request->server->options->archive.config;
	uint64_t limit = config->server.answer_timeout * NS_PER_SECOND;

	if (request->looks++ % LOOK_EACH != 0)
		return 0;
	if (atomic_load(&request->server->stopping))
		return error_set(err, -EBUSY, "the server stops");
	if (client_has_left(request->client))
		return error_set(err, -ECONNRESET, "the client has left");
	if (clock_monotonic_ns() - request->begun >= limit)
		return error_set(err, -ETIMEDOUT, "this takes too long");
	return 0;
}

int request_check_reach(const struct request *request, const uint8_t *key, size_t size,
			struct error *err)
{
	if (token_reach(&request->token, key, size) == TOKEN_REACHES)
		return 0;
	return error_set(err, -EACCES, "this token is for other paths");
}
