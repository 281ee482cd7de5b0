/* SPDX-License-Identifier: MIT */
/* Handles are opened when they are needed. The file behind the catalog's name may be another
 * one by then, whose nodes have other numbers, so a new handle is compared with the first one
 * before it is used. If the file is gone, those that are open go on: SQLite reads what it
 * has open.
 */
#include "archive/backing.h"

#include "archive/archive.h"
#include "archive/origin.h"
#include "archive/read_service.h"
#include "base/budget.h"
#include "base/config.h"
#include "base/error.h"
#include "base/mutex.h"
#include "catalog/catalog.h"
#include "catalog/entry.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#define HANDLES_MAX 8u

struct backing {
	atomic_uint users;
	unsigned epoch;
	uint32_t generation;
	struct archive *archive;
	struct read_service *service;
	uint64_t reserved; /* bytes of the budget, for the caller */

	struct mutex mutex; /* guards all below */
	struct cond given;
	struct catalog *idle[HANDLES_MAX];
	unsigned idle_count;
	unsigned open_count; /* idle ones included */
	unsigned open_max;
};

static void backing_free(struct backing *backing)
{
	assert(backing->idle_count == backing->open_count);
	while (backing->idle_count > 0)
		catalog_free(backing->idle[--backing->idle_count]);
	read_service_free(backing->service);
	if (backing->archive)
		budget_release(archive_budget(backing->archive), backing->reserved);
	archive_free(backing->archive);
	cond_done(&backing->given);
	mutex_done(&backing->mutex);
	free(backing);
}

struct backing *backing_ref(struct backing *backing)
{
	atomic_fetch_add(&backing->users, 1);
	return backing;
}

void backing_unref(struct backing *backing)
{
	if (backing && atomic_fetch_sub(&backing->users, 1) == 1)
		backing_free(backing);
}

static int open_first(struct backing *backing, struct error *err)
{
	struct catalog *catalog = NULL;
	int r;

	r = archive_open_catalog(backing->archive, &catalog, err);
	if (r < 0)
		return r;
	backing->generation = catalog_generation(catalog);
	if (backing->generation !=
	    catalog_generation(archive_catalog(backing->archive))) {
		catalog_free(catalog);
		return error_set(err, -ESTALE, "the catalog was replaced meanwhile");
	}
	backing->idle[backing->idle_count++] = catalog;
	backing->open_count = 1;
	return 0;
}

static int set_aside(struct backing *backing, uint64_t size, struct error *err)
{
	int r = size ? budget_reserve(archive_budget(backing->archive), size,
				      "what is served", err)
		     : 0;

	if (r == 0)
		backing->reserved = size;
	return r;
}

/* One handle is the watcher's, now and then; a handle's cache can take 8 MiB. */
static unsigned handle_count(const struct config *config)
{
	unsigned wanted = config_jobs(config) + 1;

	return wanted < HANDLES_MAX ? wanted : HANDLES_MAX;
}

int backing_open(const struct archive_options *options, unsigned epoch, uint64_t reserve,
		 struct backing **backing_out, struct error *err)
{
	autobacking backing = calloc(1, sizeof(*backing));
	int r;

	if (!backing)
		return error_set(err, -ENOMEM, "no memory to open the archive");
	atomic_store(&backing->users, 1);
	mutex_init(&backing->mutex);
	cond_init(&backing->given);
	backing->epoch = epoch;
	backing->open_max = handle_count(options->config);
	r = archive_open(options, &backing->archive, err);
	if (r == 0)
		r = open_first(backing, err);
	if (r == 0)
		r = set_aside(backing, reserve, err);
	if (r == 0)
		r = read_service_open(backing->archive, &backing->service, err);
	if (r < 0)
		return r;
	*backing_out = take_ptr(backing);
	return 0;
}

unsigned backing_epoch(const struct backing *backing)
{
	return backing->epoch;
}

uint32_t backing_generation(const struct backing *backing)
{
	return backing->generation;
}

struct archive *backing_archive(struct backing *backing)
{
	return backing->archive;
}

struct read_service *backing_service(struct backing *backing)
{
	return backing->service;
}

/* An idle handle, or NULL and the right to open one more. Waits if @wait. */
static struct catalog *take_idle(struct backing *backing, bool may_open)
{
	mutex_scope(&backing->mutex);

	for (;;) {
		if (backing->idle_count > 0)
			return backing->idle[--backing->idle_count];
		if (may_open && backing->open_count < backing->open_max) {
			backing->open_count++;
			return NULL;
		}
		cond_wait(&backing->given, &backing->mutex);
	}
}

static void give_up_opening(struct backing *backing)
{
	mutex_scope(&backing->mutex);

	backing->open_count--;
}

int backing_take_catalog(struct backing *backing, struct catalog **catalog_out,
			 struct error *err)
{
	struct catalog *catalog = take_idle(backing, true);
	int r;

	if (catalog) {
		*catalog_out = catalog;
		return 0;
	}
	r = archive_open_catalog(backing->archive, &catalog, err);
	if (r == 0 && catalog_generation(catalog) != backing->generation) {
		catalog_free(take_ptr(catalog));
		r = -ESTALE;
	}
	if (r < 0) {
		/* The first one is open whatever became of the file. */
		give_up_opening(backing);
		catalog = take_idle(backing, false);
	}
	*catalog_out = catalog;
	return 0;
}

void backing_give_catalog(struct backing *backing, struct catalog *catalog)
{
	mutex_scope(&backing->mutex);

	backing->idle[backing->idle_count++] = catalog;
	cond_signal(&backing->given);
}
