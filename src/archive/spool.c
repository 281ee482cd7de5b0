/* SPDX-License-Identifier: MIT */
/* Each record is written as u32 size, data, u32 size, so that it can be read from both ends.
 * stdio buffers it: a short list never leaves memory.
 */
#include "archive/spool.h"

#include "base/error.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct spool {
	FILE *file;
	uint8_t *data; /* the record being visited */
	size_t capacity;
};

int spool_new(struct spool **spool_out, struct error *err)
{
	autoptr(spool) spool = calloc(1, sizeof(*spool));

	if (!spool)
		return error_set(err, -ENOMEM, "out of memory");
	spool->file = tmpfile();
	if (!spool->file)
		return error_set_errno(err, -errno, "temporary file");
	*spool_out = take_ptr(spool);
	return 0;
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	if (spool->file)
		(void)fclose(spool->file);
	free(spool->data);
	free(spool);
}

int spool_append(struct spool *spool, const void *data, size_t size, struct error *err)
{
	uint32_t n = (uint32_t)size;

	if (fwrite(&n, sizeof(n), 1, spool->file) != 1 ||
	    fwrite(data, 1, size, spool->file) != size ||
	    fwrite(&n, sizeof(n), 1, spool->file) != 1)
		return error_set_errno(err, -errno, "temporary file");
	return 0;
}

/* Read a record of @size bytes from the current position. */
static int load(struct spool *spool, size_t size, struct error *err)
{
	if (size > spool->capacity) {
		uint8_t *data = realloc(spool->data, size);

		if (!data)
			return error_set(err, -ENOMEM, "out of memory");
		spool->data = data;
		spool->capacity = size;
	}
	if (fread(spool->data, 1, size, spool->file) != size)
		return error_set(err, -EIO, "temporary file: short read");
	return 0;
}

int spool_visit(struct spool *spool,
		int (*visit)(void *context, const void *data, size_t size,
			     struct error *err),
		void *context, struct error *err)
{
	uint32_t size;
	int r;

	if (fflush(spool->file) != 0)
		return error_set_errno(err, -errno, "temporary file");
	rewind(spool->file);
	while (fread(&size, sizeof(size), 1, spool->file) == 1) {
		r = load(spool, size, err);
		if (r < 0)
			return r;
		if (fread(&size, sizeof(size), 1, spool->file) != 1)
			return error_set(err, -EIO, "temporary file: short read");
		r = visit(context, spool->data, size, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int spool_visit_back(struct spool *spool,
		     int (*visit)(void *context, const void *data, size_t size,
				  struct error *err),
		     void *context, struct error *err)
{
	uint32_t size;
	off_t end;
	int r;

	if (fseeko(spool->file, 0, SEEK_END) != 0)
		return error_set_errno(err, -errno, "temporary file");
	for (end = ftello(spool->file); end > 0;
	     end -= (off_t)(size + 2 * sizeof(size))) {
		if (fseeko(spool->file, end - (off_t)sizeof(size), SEEK_SET) != 0 ||
		    fread(&size, sizeof(size), 1, spool->file) != 1 ||
		    fseeko(spool->file, end - (off_t)(size + sizeof(size)), SEEK_SET) !=
			    0)
			return error_set(err, -EIO, "temporary file: short read");
		r = load(spool, size, err);
		if (r == 0)
			r = visit(context, spool->data, size, err);
		if (r < 0)
			return r;
	}
	return 0;
}
