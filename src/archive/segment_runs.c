/* SPDX-License-Identifier: MIT */
#include "archive/segment_runs.h"

#include "archive/outer_read.h"
#include "archive/volume_set.h"
#include "base/error.h"

#include <inttypes.h>

void segment_runs_done(struct segment_runs *runs)
{
	free(runs->items);
	*runs = (struct segment_runs){ 0 };
}

static int add_run(struct segment_runs *runs, const struct segment_run *run)
{
	struct segment_run *grown;

	grown = realloc(runs->items, (runs->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	grown[runs->count++] = *run;
	runs->items = grown;
	return 0;
}

/* What a stripe says about a log offset in it: whether content may lie there, and where it
 * ends. */
static int find_stripe(struct volume_set *volumes, const struct uuid *volume,
		       uint64_t log_offset, enum stripe_kind *kind_out, uint64_t *end_out,
		       struct error *err)
{
	struct stripe_info stripe = { 0 };
	int r;

	r = volume_set_find_stripe(volumes, volume, log_offset, &stripe, err);
	if (r < 0)
		return r;
	*kind_out = stripe.kind;
	*end_out = stripe.log_start + stripe_log_size(&stripe);
	stripe_info_done(&stripe);
	if (*end_out <= log_offset)
		return error_set(err, -EBADMSG, "no stripe holds log offset %" PRIu64,
				 log_offset);
	return 0;
}

static int find_runs(struct volume_set *volumes, const struct segment_place *place,
		     struct segment_runs *runs, struct error *err)
{
	uint64_t log_offset = place->log_offset;
	uint32_t done = 0;

	while (done < place->stored_size) {
		struct segment_run run = { .offset = done, .log_offset = log_offset };
		enum stripe_kind kind;
		uint64_t end;
		int r;

		r = find_stripe(volumes, &place->volume, log_offset, &kind, &end, err);
		if (r < 0)
			return r;
		run.size = place->stored_size - done;
		if (run.size > end - log_offset)
			run.size = (uint32_t)(end - log_offset);
		log_offset = end;
		if (kind != STRIPE_DATA)
			continue;
		if (add_run(runs, &run) < 0)
			return error_set(err, -ENOMEM, "no memory for a segment");
		done += run.size;
	}
	return 0;
}

/* Of a volume that is not there, nothing may be known but its name and what others say. */
static int explain_unknown(struct volume_set *volumes, const struct uuid *volume,
			   struct error *err)
{
	autofree char *name = NULL;
	struct error why = { 0 };

	if (volume_set_find_file(volumes, volume, &name, &why) != -ENOMEDIUM)
		return -EBADMSG; /* *err says which offset */
	return error_set(err, -ENOMEDIUM, "%s", why.text);
}

int segment_runs_find(struct volume_set *volumes, const struct segment_place *place,
		      struct segment_runs *runs_out, struct error *err)
{
	struct segment_runs runs = { 0 };
	int r;

	r = find_runs(volumes, place, &runs, err);
	if (r < 0) {
		segment_runs_done(&runs);
		return r == -ENOENT ? explain_unknown(volumes, &place->volume, err) : r;
	}
	*runs_out = runs;
	return 0;
}

/* volume_set_read() or outer_read(). */
typedef int read_fn(struct volume_set *set, const struct uuid *volume,
		    uint64_t log_offset, void *data, size_t size, struct error *err);

/* Stored bytes that lie side by side in the log. */
struct stretch {
	uint64_t log_offset;
	size_t size;
};

/* The first of the @size bytes at @offset; of size 0 behind the end. */
static struct stretch find_stretch(const struct segment_runs *runs, uint32_t offset,
				   size_t size)
{
	for (size_t i = 0; i < runs->count; i++) {
		const struct segment_run *run = &runs->items[i];
		uint32_t skip = offset - run->offset;

		if (skip < run->size)
			return (struct stretch){
				.log_offset = run->log_offset + skip,
				.size = run->size - skip < size ? run->size - skip : size,
			};
	}
	return (struct stretch){ 0 };
}

static int read_runs(const struct segment_runs *runs, read_fn *read,
		     struct volume_set *volumes, const struct uuid *volume,
		     uint32_t offset, void *data, size_t size, struct error *err)
{
	uint8_t *out = data;

	while (size > 0) {
		struct stretch stretch = find_stretch(runs, offset, size);
		int r;

		if (stretch.size == 0)
			return error_set(err, -EBADMSG,
					 "%zu bytes behind the end of a segment", size);
		r = read(volumes, volume, stretch.log_offset, out, stretch.size, err);
		if (r < 0)
			return r;
		out += stretch.size;
		offset += (uint32_t)stretch.size;
		size -= stretch.size;
	}
	return 0;
}

int segment_runs_read(const struct segment_runs *runs, struct volume_set *volumes,
		      const struct uuid *volume, uint32_t offset, void *data, size_t size,
		      struct error *err)
{
	return read_runs(runs, volume_set_read, volumes, volume, offset, data, size, err);
}

int segment_runs_recover(const struct segment_runs *runs, struct volume_set *volumes,
			 const struct uuid *volume, uint32_t offset, void *data,
			 size_t size, struct error *err)
{
	return read_runs(runs, outer_read, volumes, volume, offset, data, size, err);
}

void segment_runs_expect(const struct segment_runs *runs, struct volume_set *volumes,
			 const struct uuid *volume, uint32_t offset, size_t size)
{
	while (size > 0) {
		struct stretch stretch = find_stretch(runs, offset, size);

		if (stretch.size == 0)
			return;
		volume_set_expect(volumes, volume, stretch.log_offset, stretch.size);
		offset += (uint32_t)stretch.size;
		size -= stretch.size;
	}
}
