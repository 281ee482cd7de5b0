/* SPDX-License-Identifier: MIT */
/* How the archive and the server are: for the page, for scripts, and for Prometheus. What the
 * last checks have shown is what `status` tells; what reads have shown is counted here.
 * `status` adds up what the ledger and the placement say, so it counts as a search; while there
 * are too many of these, what was said last is said again, with its time. */
#include "serve/op.h"

#include "archive/backing.h"
#include "archive/places.h"
#include "archive/read_health.h"
#include "archive/read_service.h"
#include "archive/safety.h"
#include "archive/volume_set.h"
#include "archive/volume_status.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "catalog/history.h"
#include "serve/answer.h"
#include "serve/parameter.h"
#include "serve/request.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/statvfs.h>

/* Volumes. */

struct volumes {
	struct archive *archive;
	struct text text;
	unsigned count;
	unsigned attached;
	struct error *err;
};

static int append_volume(struct volumes *volumes, const struct volume_row *volume,
			 const struct volume_status *status)
{
	autoptr(json) json = json_object_new();
	autofree char *line = NULL;

	if (!json)
		return -ENOMEM;
	volume_status_add_json(volume, status, json);
	if (json_print(json, &line) < 0)
		return -ENOMEM;
	return text_appendf(&volumes->text, "%s\n%s", volumes->count ? "," : "", line);
}

static int visit_volume(void *context, const struct volume_row *volume)
{
	struct volumes *volumes = context;
	struct volume_status status = { 0 };
	int r;

	r = volume_status_get(volumes->archive, volume, &status, volumes->err);
	if (r < 0)
		return r;
	r = append_volume(volumes, volume, &status);
	volumes->count++;
	volumes->attached += status.attached;
	volume_status_done(&status);
	return r;
}

/* Also counts them. */
static int list_volumes(struct request *request, struct volumes *volumes,
			struct error *err)
{
	int r;

	*volumes = (struct volumes){
		.archive = backing_archive(request->backing),
		.err = err,
	};
	r = request_take_catalog(request, err);
	if (r == 0 && text_append(&volumes->text, "[") < 0)
		r = error_set(err, -ENOMEM, "no memory for an answer");
	if (r == 0)
		r = catalog_visit_volumes(request->catalog, visit_volume, volumes, err);
	return r < 0 ? r : text_append(&volumes->text, "\n]\n");
}

int op_volumes(struct request *request, struct error *err)
{
	struct volumes volumes;
	int r;

	r = list_volumes(request, &volumes, err);
	if (r == 0)
		r = answer_text(request, 200, "application/json", &volumes.text, err);
	text_done(&volumes.text);
	return r;
}

/* Health. */

struct figures {
	uint64_t commit;
	unsigned volumes;
	unsigned attached;
	uint64_t uptime; /* seconds */
	size_t connections;
	struct log_counters log;
	struct read_health_counts health;
	struct read_counters reads;
};

static int gather(struct request *request, struct figures *figures, struct error *err)
{
	struct archive *archive = backing_archive(request->backing);
	struct server *server = request->server;
	struct volumes volumes;
	int r;

	*figures = (struct figures){ 0 };
	r = list_volumes(request, &volumes, err);
	text_done(&volumes.text);
	if (r == 0)
		r = parameter_commit(request, true, &figures->commit, err);
	if (r < 0)
		return r;
	figures->volumes = volumes.count;
	figures->attached = volumes.attached;
	figures->uptime = (clock_monotonic_ns() - server->started) / NS_PER_SECOND;
	figures->connections = clients_count(&server->clients);
	volume_set_counters(archive_volumes(archive), &figures->log);
	read_health_counts(server->health, &figures->health);
	read_service_counters(backing_service(request->backing), &figures->reads);
	return 0;
}

/* The worst thing that is known. */
static const char *status_word(const struct figures *figures)
{
	if (figures->health.lost > 0)
		return "lost";
	if (figures->health.not_written_back > 0)
		return "damaged";
	return figures->attached < figures->volumes ? "away" : "ok";
}

static void add_reads(struct json *json, const struct figures *figures)
{
	struct json *reads;

	if (json_add_object(json, "reads", &reads) < 0)
		return;
	(void)json_add_u64(reads, "bytes_read", figures->log.bytes_read);
	(void)json_add_u64(reads, "leaves_verified", figures->log.leaves_read);
	(void)json_add_u64(reads, "leaves_repaired", figures->log.leaves_repaired);
	(void)json_add_u64(reads, "pages_repaired", figures->log.pages_repaired);
	(void)json_add_u64(reads, "leaves_lost", figures->log.leaves_lost);
	(void)json_add_u64(reads, "written_back", figures->health.written_back);
	(void)json_add_u64(reads, "not_written_back", figures->health.not_written_back);
	(void)json_add_u64(reads, "files_damaged", figures->health.files_damaged);
}

/* What is left where volumes are written. */
static void add_room(struct json *json, struct request *request)
{
	const struct config *config = request->server->options->archive.config;
	struct statvfs st;
	struct json *room;

	if (json_add_object(json, "room", &room) < 0)
		return;
	(void)json_add_u64(room, "volume_max_size", config->volume.max_size);
	if (!places_medium(archive_places(backing_archive(request->backing)), &st))
		return;
	(void)json_add_u64(room, "size", (uint64_t)st.f_blocks * st.f_frsize);
	(void)json_add_u64(room, "free", (uint64_t)st.f_bavail * st.f_frsize);
}

static int add_safety(struct json *json, struct request *request, struct error *err)
{
	struct safety safety = { 0 };
	struct json *object;
	int r;

	r = request_begin_scan(request, err);
	if (r == 0)
		r = safety_get(backing_archive(request->backing), request->catalog,
			       clock_realtime_ns(), &safety, err);
	if (r < 0)
		return r;
	if (json_add_object(json, "safety", &object) == 0)
		safety_add_json(&safety, object);
	safety_done(&safety);
	return 0;
}

static int make_health(struct request *request, struct json *json, struct error *err)
{
	struct figures figures;
	struct json *volumes;
	int r;

	r = gather(request, &figures, err);
	if (r < 0)
		return r;
	(void)json_add_string(json, "status", status_word(&figures));
	(void)json_add_u64(json, "as_of", (uint64_t)clock_realtime_ns() / NS_PER_SECOND);
	(void)json_add_u64(json, "commit", figures.commit);
	(void)json_add_u64(json, "uptime", figures.uptime);
	if (json_add_object(json, "volumes", &volumes) == 0) {
		(void)json_add_u32(volumes, "known", figures.volumes);
		(void)json_add_u32(volumes, "attached", figures.attached);
	}
	add_reads(json, &figures);
	add_room(json, request);
	return add_safety(json, request, err);
}

static int copy_text(struct text *to, const struct text *from)
{
	text_clear(to);
	return text_append_bytes(to, text_string(from), from->size);
}

/* -EBUSY: nothing was said yet. */
static int say_again(struct server *server, struct text *text)
{
	mutex_scope(&server->mutex);

	return server->last_health.size > 0 ? copy_text(text, &server->last_health)
					    : -EBUSY;
}

static void remember(struct server *server, const struct text *text)
{
	mutex_scope(&server->mutex);

	if (copy_text(&server->last_health, text) < 0)
		text_clear(&server->last_health);
}

static int say_health(struct request *request, struct text *text, struct error *err)
{
	autoptr(json) json = json_object_new();
	autofree char *line = NULL;
	int r;

	r = json ? make_health(request, json, err) : -ENOMEM;
	if (r == -EBUSY)
		return say_again(request->server, text);
	if (r == 0)
		r = json_print(json, &line);
	if (r == 0)
		r = text_appendf(text, "%s\n", line);
	if (r == 0)
		remember(request->server, text);
	return r;
}

int op_health(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	int r = say_health(request, &text, err);

	if (r == -ENOMEM)
		return error_set(err, r, "no memory for an answer");
	return r < 0 ? r : answer_text(request, 200, "application/json", &text, err);
}

/* Metrics. */

static int append_metric(struct text *text, const char *name, const char *type,
			 const char *help, uint64_t value)
{
	return text_appendf(text,
			    "# HELP blockframe_%s %s\n# TYPE blockframe_%s %s\n"
			    "blockframe_%s %" PRIu64 "\n",
			    name, help, name, type, name, value);
}

static int append_requests(struct server *server, struct text *text)
{
	int r;

	r = text_append(text, "# HELP blockframe_http_requests_total Requests answered, "
			      "by class of status.\n"
			      "# TYPE blockframe_http_requests_total counter\n");
	for (unsigned class = 2; r == 0 && class < 6; class ++)
		r = text_appendf(text,
				 "blockframe_http_requests_total{status=\"%uxx\"} %llu\n",
				 class, atomic_load(&server->counters.requests[class]));
	return r;
}

static int append_metrics(struct server *server, const struct figures *figures,
			  struct text *text)
{
	const struct {
		const char *name;
		const char *type;
		const char *help;
		uint64_t value;
	} metrics[] = {
		{ "http_connections", "gauge", "Open connections.",
		  figures->connections },
		{ "http_sent_bytes_total", "counter", "Bytes of bodies sent.",
		  atomic_load(&server->counters.bytes_sent) },
		{ "http_broken_total", "counter", "Bodies that ended too early.",
		  atomic_load(&server->counters.broken) },
		{ "http_expired_total", "counter", "Connections past a deadline.",
		  atomic_load(&server->counters.expired) },
		{ "commit", "gauge", "Number of the last commit.", figures->commit },
		{ "volumes", "gauge", "Volumes that are known.", figures->volumes },
		{ "volumes_attached", "gauge", "Volumes that are there.",
		  figures->attached },
		{ "read_bytes_total", "counter", "Bytes read from volumes.",
		  figures->log.bytes_read },
		{ "leaves_verified_total", "counter", "Leaves read and verified.",
		  figures->log.leaves_read },
		{ "leaves_repaired_total", "counter", "Damaged leaves repaired.",
		  figures->log.leaves_repaired },
		{ "leaves_lost_total", "counter", "Leaves beyond repair.",
		  figures->log.leaves_lost },
		{ "written_back_total", "counter", "Repairs put back on volumes.",
		  figures->health.written_back },
		{ "not_written_back_total", "counter", "Repairs in memory only.",
		  figures->health.not_written_back },
		{ "files_damaged", "gauge", "Files that damage was met in.",
		  figures->health.files_damaged },
		{ "cache_hits_total", "counter", "Frames found in the cache.",
		  figures->reads.hits },
		{ "cache_misses_total", "counter", "Frames decoded for a read.",
		  figures->reads.misses },
		{ "cache_bytes", "gauge", "Bytes of decoded frames.",
		  figures->reads.cached_bytes },
		{ "uptime_seconds", "gauge", "Seconds since the start.",
		  figures->uptime },
	};
	int r = append_requests(server, text);

	for (size_t i = 0; r == 0 && i < sizeof(metrics) / sizeof(metrics[0]); i++)
		r = append_metric(text, metrics[i].name, metrics[i].type, metrics[i].help,
				  metrics[i].value);
	return r;
}

int op_metrics(struct request *request, struct error *err)
{
	autotext struct text text = { 0 };
	struct figures figures;
	int r;

	r = gather(request, &figures, err);
	if (r == 0)
		r = append_metrics(request->server, &figures, &text);
	return r < 0 ? r
		     : answer_text(request, 200, "text/plain; version=0.0.4", &text, err);
}
