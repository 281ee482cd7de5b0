/* SPDX-License-Identifier: MIT */
#include "volume/backend.h"

#include "base/error.h"
#include "volume/backend_scan.h"

#include <assert.h>
#include <errno.h>

int backend_append(struct backend *backend, const void *data, size_t size,
		   struct error *err)
{
	assert(size % BACKEND_ALIGNMENT == 0 && (uintptr_t)data % BACKEND_ALIGNMENT == 0);
	return backend->ops->append(backend, data, size, err);
}

int backend_skip(struct backend *backend, uint64_t size, struct error *err)
{
	assert(size % BACKEND_ALIGNMENT == 0);
	return backend->ops->skip(backend, size, err);
}

int backend_read(struct backend *backend, uint64_t offset, void *data, size_t size,
		 size_t *size_out, struct error *err)
{
	return backend->ops->read(backend, offset, data, size, size_out, err);
}

void backend_expect(struct backend *backend, uint64_t offset, uint64_t size)
{
	if (backend->ops->expect)
		backend->ops->expect(backend, offset, size);
}

int backend_scan(struct backend *backend, uint64_t offset, void *data, size_t size,
		 size_t *size_out, struct error *err)
{
	assert(size <= BACKEND_SCAN_MAX);
	if (!backend->ops->scan)
		return backend_read(backend, offset, data, size, size_out, err);
	return backend->ops->scan(backend, offset, data, size, size_out, err);
}

uint64_t backend_next_data(struct backend *backend, uint64_t offset)
{
	return backend->ops->next_data ? backend->ops->next_data(backend, offset)
				       : offset;
}

int backend_sync(struct backend *backend, struct error *err)
{
	return backend->ops->sync(backend, err);
}

int backend_seal(struct backend *backend, struct error *err)
{
	return backend->ops->seal(backend, err);
}

uint64_t backend_position(struct backend *backend)
{
	return backend->ops->position(backend);
}

uint64_t backend_capacity(struct backend *backend)
{
	return backend->ops->capacity(backend);
}

int backend_open_rewriter(struct backend *backend, unsigned patience_ms,
			  struct rewriter **rewriter_out, struct error *err)
{
	if (!backend->ops->open_rewriter)
		return error_set(err, -EOPNOTSUPP, "'%s' can't be overwritten",
				 backend->name);
	return backend->ops->open_rewriter(backend, patience_ms, rewriter_out, err);
}

void backend_free(struct backend *backend)
{
	if (backend)
		backend->ops->free(backend);
}
