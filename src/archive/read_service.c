/* SPDX-License-Identifier: MIT */
/* Holds together what archive/open_file.c uses: readers (reader_pool.c), the cache
 * (frame_cache.c) and the workers that read ahead (read_ahead.c).
 *
 * What keeps a volume that does not answer from blocking the others: it can hold as many
 * readers as `options.readers` says, and then any other volume still gets one of its own; it
 * can hold all workers but one; a frame of it that is being loaded is waited for only by
 * those who want that frame; and no lock is held while a volume is read.
 */
#include "archive/read_service.h"

#include "archive/archive.h"
#include "archive/frame_cache.h"
#include "archive/origin.h"
#include "archive/read_ahead.h"
#include "archive/reader_pool.h"
#include "base/config.h"
#include "base/error.h"

#include <stdlib.h>

struct read_service {
	struct source *source; /* borrowed */
	struct frame_cache *cache;
	struct reader_pool *readers;
	struct read_ahead *ahead; /* or NULL */
};

int read_service_new(const struct read_service_options *options,
		     struct read_service **service_out, struct error *err)
{
	autoptr(read_service) service = calloc(1, sizeof(*service));
	int r;

	if (!service)
		return error_set(err, -ENOMEM, "out of memory");
	service->source = options->source;
	r = frame_cache_new(options->budget, options->cache_size, &service->cache, err);
	if (r < 0)
		return r;
	r = reader_pool_new(options->source, service->cache, options->budget,
			    options->readers, &service->readers, err);
	if (r < 0)
		return r;
	if (options->workers > 0) {
		r = read_ahead_new(options->source, service->cache, options->budget,
				   options->workers, &service->ahead, err);
		if (r < 0)
			return r;
	}
	*service_out = take_ptr(service);
	return 0;
}

int read_service_open(struct archive *archive, struct read_service **service_out,
		      struct error *err)
{
	const struct config *config = archive_config(archive);
	struct origin *origin = archive_origin(archive);
	unsigned jobs = config_jobs(config);
	unsigned waiting = origin ? origin->ops->parallel(origin) : jobs;
	const struct read_service_options options = {
		.source = archive_source(archive),
		.budget = archive_budget(archive),
		.readers = 2 * waiting,
		.workers = waiting + 1, /* all but one work for one volume */
		.cache_size = config_cache_bytes(config),
	};

	return read_service_new(&options, service_out, err);
}

void read_service_free(struct read_service *service)
{
	if (!service)
		return;
	read_ahead_free(service->ahead);
	reader_pool_free(service->readers);
	frame_cache_free(service->cache);
	free(service);
}

struct read_ahead *read_service_ahead(struct read_service *service)
{
	return service->ahead;
}

struct reader_pool *read_service_readers(struct read_service *service)
{
	return service->readers;
}

struct source *read_service_source(struct read_service *service)
{
	return service->source;
}

void read_service_counters(struct read_service *service,
			   struct read_counters *counters_out)
{
	struct segment_counters sum;

	reader_pool_count(service->readers, &sum);
	*counters_out = (struct read_counters){
		.hits = sum.hits,
		.misses = sum.misses,
		.partial = sum.partial,
		.stored_bytes = sum.stored_bytes,
		.ahead = service->ahead ? read_ahead_count(service->ahead) : 0,
		.cached_bytes = frame_cache_bytes(service->cache),
	};
}
