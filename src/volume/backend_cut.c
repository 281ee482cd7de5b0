/* SPDX-License-Identifier: MIT */
#include "volume/backend_cut.h"

#include "base/error.h"

#include <string.h>

struct backend_cut {
	struct backend base;
	struct backend *whole; /* borrowed */
	uint64_t end;          /* bytes */
};

static struct backend_cut *cut_of(struct backend *backend)
{
	return (struct backend_cut *)backend;
}

static int refuse(struct backend *backend, struct error *err)
{
	return error_set(err, -EROFS, "'%s' is open for reading only", backend->name);
}

static int cut_append(struct backend *backend, const void *data, size_t size,
		      struct error *err)
{
	(void)data;
	(void)size;
	return refuse(backend, err);
}

static int cut_skip(struct backend *backend, uint64_t size, struct error *err)
{
	(void)size;
	return refuse(backend, err);
}

static int cut_read(struct backend *backend, uint64_t offset, void *data, size_t size,
		    size_t *size_out, struct error *err)
{
	const struct backend_cut *cut = cut_of(backend);

	if (offset >= cut->end) {
		*size_out = 0;
		return 0;
	}
	if (size > cut->end - offset)
		size = (size_t)(cut->end - offset);
	return backend_read(cut->whole, offset, data, size, size_out, err);
}

static uint64_t cut_position(struct backend *backend)
{
	return cut_of(backend)->end;
}

static void cut_free(struct backend *backend)
{
	free(backend->name);
	free(cut_of(backend));
}

static const struct backend_ops cut_ops = {
	.type = "cut",
	.append = cut_append,
	.skip = cut_skip,
	.read = cut_read,
	.sync = refuse,
	.seal = refuse,
	.position = cut_position,
	.capacity = cut_position,
	.free = cut_free,
};

int backend_cut_new(struct backend *backend, uint64_t end, struct backend **cut_out,
		    struct error *err)
{
	struct backend_cut *cut = calloc(1, sizeof(*cut));
	uint64_t position = backend_position(backend);

	if (cut)
		cut->base.name = strdup(backend->name);
	if (!cut || !cut->base.name) {
		free(cut);
		return error_set(err, -ENOMEM, "no memory to search a volume");
	}
	cut->base.ops = &cut_ops;
	cut->whole = backend;
	cut->end = end < position ? end : position;
	*cut_out = &cut->base;
	return 0;
}
