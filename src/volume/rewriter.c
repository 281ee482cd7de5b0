/* SPDX-License-Identifier: MIT */
#include "volume/rewriter.h"

#include "volume/backend.h"

#include <assert.h>

static void check_range(const struct rewriter *rewriter, uint64_t offset,
			const void *data, size_t size)
{
	assert(offset % BACKEND_ALIGNMENT == 0 && size % BACKEND_ALIGNMENT == 0);
	assert((uintptr_t)data % BACKEND_ALIGNMENT == 0);
	assert(size <= rewriter->size && offset <= rewriter->size - size);
}

int rewriter_read(struct rewriter *rewriter, uint64_t offset, void *data, size_t size,
		  struct error *err)
{
	check_range(rewriter, offset, data, size);
	return rewriter->ops->read(rewriter, offset, data, size, err);
}

int rewriter_write(struct rewriter *rewriter, uint64_t offset, const void *data,
		   size_t size, struct error *err)
{
	check_range(rewriter, offset, data, size);
	return rewriter->ops->write(rewriter, offset, data, size, err);
}

int rewriter_sync(struct rewriter *rewriter, uint64_t offset, size_t size,
		  struct error *err)
{
	check_range(rewriter, offset, NULL, size);
	return rewriter->ops->sync(rewriter, offset, size, err);
}

void rewriter_free(struct rewriter *rewriter)
{
	if (rewriter)
		rewriter->ops->free(rewriter);
}
