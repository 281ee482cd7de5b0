/* SPDX-License-Identifier: MIT */
#include "archive/health_probe.h"

#include "archive/reader.h"
#include "base/error.h"
#include "chunker/frame.h"
#include "merkle/manifest.h"

#include <errno.h>
#include <stdlib.h>

int health_file_add_lost(struct health_file *file, uint64_t offset, uint64_t size)
{
	struct lost_range *last =
		file->lost_count ? &file->lost[file->lost_count - 1] : NULL;
	struct lost_range *grown;

	if (last && last->offset + last->size == offset) {
		last->size += size;
		return 0;
	}
	if (file->lost_count == HEALTH_RANGES_MAX) {
		last->size =
			offset + size - last->offset; /* more than is lost, not less */
		return 0;
	}
	grown = realloc(file->lost, (file->lost_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	file->lost = grown;
	grown[file->lost_count++] = (struct lost_range){ offset, size };
	return 0;
}

void health_file_done(struct health_file *file)
{
	free(file->path);
	free(file->lost);
	*file = (struct health_file){ 0 };
}

int health_files_add(struct health_files *files, struct health_file *file)
{
	struct health_file *grown;

	files->states[file->state]++;
	for (size_t i = 0; i < file->lost_count; i++)
		files->lost_bytes += file->lost[i].size;
	if (files->count == HEALTH_FILES_MAX) {
		health_file_done(file);
		return 0;
	}
	grown = realloc(files->items, (files->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	files->items = grown;
	grown[files->count++] = *file;
	*file = (struct health_file){ 0 };
	return 0;
}

/* The end of the piece that holds @offset, if not even its table can be read. */
static uint64_t piece_end(uint64_t offset, uint64_t end)
{
	uint64_t stop = (offset / MANIFEST_SEGMENT_SIZE + 1) * MANIFEST_SEGMENT_SIZE;

	return stop < end ? stop : end;
}

/* One step: to the end of a frame, or of what is asked for. */
static int probe_some(const struct content *content, struct reader *reader,
		      uint8_t *buffer, uint64_t offset, uint64_t end, uint64_t *stop_out,
		      struct error *err)
{
	int r;

	*stop_out = piece_end(offset, end);
	r = content_frame_end(content, reader, offset, stop_out, err);
	if (*stop_out > end)
		*stop_out = end;
	if (r == 0)
		r = content_read(content, reader, offset, buffer,
				 (size_t)(*stop_out - offset), err);
	return r;
}

int health_probe(const struct health_files_options *options,
		 const struct content *content, struct reader *reader, uint64_t offset,
		 uint64_t size, struct health_file *file, struct error *err)
{
	autofree uint8_t *buffer = malloc(FRAME_SIZE_MAX);
	uint64_t end = offset + size;
	uint64_t stop;

	if (!buffer)
		return error_set(err, -ENOMEM, "no memory to read a frame");
	for (; offset < end; offset = stop) {
		int r = probe_some(content, reader, buffer, offset, end, &stop, err);

		if (options->stopped && options->stopped(options->context))
			return error_set(err, -EINTR, "interrupted");
		if (r == -EBADMSG)
			r = health_file_add_lost(file, offset, stop - offset);
		if (r < 0)
			return r;
	}
	return 0;
}
