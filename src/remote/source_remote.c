/* SPDX-License-Identifier: MIT */
/* What is asked for is looked for in memory (pages, tables), in the cache on disk, and then at
 * the server. What fails its proof is asked for once more, past all caches; then it is damage.
 *
 * No length from the server is used before it is compared with what it can be: a page is no
 * larger than pages are, a table no larger than that of the most frames that a segment can
 * have, and frames have exactly the sizes that the proved table says.
 *
 * How much to read ahead follows from what the way takes: bytes a second times the time of an
 * answer, twice.
 */
#include "remote/source_remote.h"

#include "archive/segment_cache.h"
#include "archive/source.h"
#include "archive/tree_page.h"
#include "base/budget.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/mutex.h"
#include "chunker/frame.h"
#include "remote/disk_cache.h"
#include "remote/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE_MAX (TREE_PAGE_HEADER_SIZE + 2 * TREE_PAGE_CONTENT_MAX) /* bytes */
#define MEMORY_MAX (24u << 20) /* bytes: a third for tables, the rest for pages */
#define MEMORY_LEAST (3u << 20)
#define PAGES_MAX 512u
#define WINDOW_LIMIT (UINT64_C(64) << 20) /* bytes of content */

struct held_page {
	struct hash hash;
	struct bytes payload; /* owned; size 0: not in use */
	uint64_t used;
};

struct source_remote {
	struct source base;      /* first member */
	struct http *http;       /* borrowed */
	struct disk_cache *disk; /* borrowed, or NULL */
	struct budget *budget;   /* borrowed */
	uint64_t reserved;       /* bytes of it */
	struct segment_cache *segments;
	atomic_ullong content; /* bytes in the frames that were got */
	atomic_ullong stored;  /* and as they were sent */
	struct mutex mutex;    /* guards all below */
	size_t pages_size;     /* bytes */
	size_t pages_size_max;
	uint64_t tick;
	struct held_page pages[PAGES_MAX];
};

static struct source_remote *remote_of(struct source *source)
{
	return (struct source_remote *)source;
}

static struct cached_segment *cached_of(const struct segment_ref *ref)
{
	return (struct cached_segment *)(uintptr_t)
		ref; /* made by this source, not const */
}

/* What an object is called in the cache on disk. */
static void cache_name(char kind, const struct hash *id, uint64_t index, uint64_t number,
		       struct hash *name_out)
{
	struct {
		uint8_t id[HASH_SIZE];
		le64 index;
		le64 number;
		uint8_t kind;
	} key;

	memcpy(key.id, id->bytes, HASH_SIZE);
	key.index = le64_make(index);
	key.number = le64_make(number);
	key.kind = (uint8_t)kind;
	hash_bytes(&key, sizeof(key), name_out);
}

static int copy_bytes(const void *data, size_t size, struct bytes *copy_out,
		      struct error *err)
{
	uint8_t *copy = malloc(size + 1);

	if (!copy)
		return error_set(err, -ENOMEM, "no memory for a page");
	memcpy(copy, data, size);
	*copy_out = (struct bytes){ copy, size };
	return 0;
}

/* Ask for an object that proved ones name: that it is not there is damage, or a lie. */
static int get_object(struct source_remote *remote, const struct http_request *request,
		      struct error *err)
{
	int r = http_get(remote->http, request, err);

	return r == -ENOENT ? -EBADMSG : r;
}

/* Pages. */

/* 1: it is not held. */
static int find_held(struct source_remote *remote, const struct hash *hash,
		     struct bytes *payload_out, struct error *err)
{
	mutex_scope(&remote->mutex);

	for (size_t i = 0; i < PAGES_MAX; i++) {
		struct held_page *page = &remote->pages[i];

		if (page->payload.size == 0 || !hash_equal(&page->hash, hash))
			continue;
		page->used = ++remote->tick;
		return copy_bytes(page->payload.data, page->payload.size, payload_out,
				  err);
	}
	return 1;
}

static void drop_locked(struct source_remote *remote, struct held_page *page)
	requires_mutex(remote->mutex)
{
	remote->pages_size -= page->payload.size;
	free(page->payload.data);
	page->payload = (struct bytes){ 0 };
}

/* A free place, made by forgetting what was used least recently. NULL: too large. */
static struct held_page *make_room_locked(struct source_remote *remote, size_t size)
	requires_mutex(remote->mutex)
{
	while (size <= remote->pages_size_max) {
		struct held_page *oldest = NULL;
		struct held_page *empty = NULL;

		for (size_t i = 0; i < PAGES_MAX; i++) {
			struct held_page *page = &remote->pages[i];

			if (page->payload.size == 0)
				empty = page;
			else if (!oldest || page->used < oldest->used)
				oldest = page;
		}
		if (empty && remote->pages_size + size <= remote->pages_size_max)
			return empty;
		drop_locked(remote, oldest);
	}
	return NULL;
}

static void hold_page(struct source_remote *remote, const struct hash *hash,
		      const struct bytes *payload)
{
	struct held_page *page;
	struct bytes copy;

	mutex_scope(&remote->mutex);
	page = make_room_locked(remote, payload->size);
	if (!page || copy_bytes(payload->data, payload->size, &copy, NULL) < 0)
		return;
	*page = (struct held_page){ *hash, copy, ++remote->tick };
	remote->pages_size += copy.size;
}

static int check_page(const struct hash *hash, const uint8_t *data, size_t size,
		      struct error *err)
{
	struct hash found;

	hash_bytes(data, size, &found);
	if (size > 0 && hash_equal(&found, hash))
		return 0;
	return error_set(err, -EBADMSG,
			 "the server sent another page than it was asked for");
}

static int get_page(struct source_remote *remote, const struct hash *hash, bool fresh,
		    struct bytes *payload_out, struct error *err)
{
	autotext struct text text = { 0 };
	char target[16 + HASH_HEX_SIZE];
	char hex[HASH_HEX_SIZE];
	int r;

	hash_to_hex(hash, hex);
	(void)snprintf(target, sizeof(target), "/v1/page/%s", hex);
	r = get_object(remote,
		       &(struct http_request){ .target = target,
					       .fresh = fresh,
					       .text = &text,
					       .text_max = PAGE_SIZE_MAX },
		       err);
	if (r == 0)
		r = check_page(hash, (const uint8_t *)text.data, text.size, err);
	if (r < 0)
		return r;
	payload_out->size = text.size;
	payload_out->data = (uint8_t *)text_take(&text);
	return 0;
}

static bool find_on_disk(struct source_remote *remote, const struct hash *hash,
			 const struct hash *name, struct bytes *payload_out)
{
	uint8_t *data;
	size_t size;

	if (!remote->disk ||
	    disk_cache_get(remote->disk, name, PAGE_SIZE_MAX, &data, &size) < 0)
		return false;
	if (check_page(hash, data, size, NULL) < 0) {
		disk_cache_drop(remote->disk, name);
		free(data);
		return false;
	}
	*payload_out = (struct bytes){ data, size };
	return true;
}

static int remote_page(struct source *source, const struct hash *hash,
		       struct bytes *payload_out, struct error *err)
{
	struct source_remote *remote = remote_of(source);
	struct bytes payload;
	struct hash name;
	int r;

	r = find_held(remote, hash, payload_out, err);
	if (r <= 0)
		return r;
	cache_name('p', hash, 0, 0, &name);
	if (!find_on_disk(remote, hash, &name, &payload)) {
		r = get_page(remote, hash, false, &payload, err);
		if (r == -EBADMSG)
			r = get_page(remote, hash, true, &payload, err);
		if (r < 0)
			return r;
		if (remote->disk)
			disk_cache_put(remote->disk, &name, payload.data, payload.size);
	}
	hold_page(remote, hash, &payload);
	*payload_out = payload;
	return 0;
}

/* Segments. */

/* @data is a table as the server sends it: header, then tail. */
static int decode_table(const struct hash *id, uint64_t index, const uint8_t *data,
			size_t size, struct cached_segment **segment_out,
			struct error *err)
{
	autoptr(cached_segment) segment = calloc(1, sizeof(*segment));
	struct segment_ref *ref = segment ? &segment->ref : NULL;
	int r;

	if (!segment)
		return error_set(err, -ENOMEM, "no memory for a segment");
	r = segment_header_decode(data, size, &ref->info, err);
	if (r < 0)
		return r;
	if (ref->info.metadata_size > 0 || !hash_equal(&ref->info.id, id) ||
	    ref->info.index != index || size <= SEGMENT_HEADER_SIZE)
		return error_set(err, -EBADMSG,
				 "the server sent another table than it was asked for");
	r = segment_table_load(&ref->info, data + SEGMENT_HEADER_SIZE,
			       size - SEGMENT_HEADER_SIZE, &ref->table, err);
	if (r < 0)
		return r;
	ref->id = *id;
	ref->index = index;
	*segment_out = take_ptr(segment);
	return 0;
}

static void segment_target(const struct hash *id, uint64_t index, const char *what,
			   char *target, size_t size)
{
	char hex[HASH_HEX_SIZE];

	hash_to_hex(id, hex);
	(void)snprintf(target, size, "/v1/segment/%s/%s?index=%" PRIu64, hex, what,
		       index);
}

#define TARGET_MAX 192u /* bytes */

static int get_table(struct source_remote *remote, const struct hash *id, uint64_t index,
		     bool fresh, struct text *text, struct cached_segment **segment_out,
		     struct error *err)
{
	char target[TARGET_MAX];
	int r;

	text_clear(text);
	segment_target(id, index, "table", target, sizeof(target));
	r = get_object(remote,
		       &(struct http_request){
			       .target = target,
			       .fresh = fresh,
			       .text = text,
			       .text_max = SEGMENT_HEADER_SIZE +
					   segment_tail_size(SEGMENT_FRAME_MAX) },
		       err);
	if (r < 0)
		return r;
	return decode_table(id, index, (const uint8_t *)text_string(text), text->size,
			    segment_out, err);
}

static bool find_table_on_disk(struct source_remote *remote, const struct hash *id,
			       uint64_t index, const struct hash *name,
			       struct cached_segment **segment_out)
{
	autofree uint8_t *data = NULL;
	size_t size;

	if (!remote->disk ||
	    disk_cache_get(remote->disk, name,
			   SEGMENT_HEADER_SIZE + segment_tail_size(SEGMENT_FRAME_MAX),
			   &data, &size) < 0)
		return false;
	if (decode_table(id, index, data, size, segment_out, NULL) == 0)
		return true;
	disk_cache_drop(remote->disk, name);
	return false;
}

static int load_segment(struct source_remote *remote, const struct hash *id,
			uint64_t index, struct cached_segment **segment_out,
			struct error *err)
{
	autotext struct text text = { 0 };
	struct hash name;
	int r;

	cache_name('t', id, index, 0, &name);
	if (find_table_on_disk(remote, id, index, &name, segment_out))
		return 0;
	r = get_table(remote, id, index, false, &text, segment_out, err);
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		r = get_table(remote, id, index, true, &text, segment_out, err);
	if (r == 0 && remote->disk)
		disk_cache_put(remote->disk, &name, (const uint8_t *)text.data,
			       text.size);
	return r;
}

static int remote_segment(struct source *source, const struct hash *id, uint64_t index,
			  const struct segment_ref **segment_out, struct error *err)
{
	struct source_remote *remote = remote_of(source);
	struct cached_segment *segment = segment_cache_find(remote->segments, id, index);
	int r;

	if (!segment) {
		r = load_segment(remote, id, index, &segment, err);
		if (r < 0)
			return r;
		segment->size = sizeof(*segment) +
				segment_tail_size(segment->ref.info.frame_count);
		segment = segment_cache_insert(remote->segments, segment);
	}
	*segment_out = &segment->ref;
	return 0;
}

static void remote_segment_unref(struct source *source, const struct segment_ref *ref)
{
	segment_cache_release(remote_of(source)->segments, cached_of(ref));
}

/* Frames. */

static size_t stored_size(const struct segment_ref *segment, uint32_t first,
			  uint32_t count)
{
	const struct segment_frame *begin = &segment->table->frames[first];
	const struct segment_frame *last = &begin[count - 1];

	return last->stored_offset + last->stored_size - begin->stored_offset;
}

static int get_frames(struct source_remote *remote, const struct segment_ref *segment,
		      uint32_t first, uint32_t count, bool fresh, uint8_t *data,
		      struct error *err)
{
	const struct segment_frame *last = &segment->table->frames[first + count - 1];
	size_t size = stored_size(segment, first, count);
	char target[TARGET_MAX];
	size_t used;
	int r;

	segment_target(&segment->id, segment->index, "frames", target, sizeof(target));
	used = strlen(target);
	(void)snprintf(target + used, sizeof(target) - used,
		       "&first=%" PRIu32 "&count=%" PRIu32, first, count);
	r = get_object(remote,
		       &(struct http_request){ .target = target,
					       .fresh = fresh,
					       .data = data,
					       .data_size = size },
		       err);
	if (r < 0)
		return r;
	atomic_fetch_add(&remote->stored, size);
	atomic_fetch_add(&remote->content,
			 last->content_offset + last->content_size -
				 segment->table->frames[first].content_offset);
	return 0;
}

/* The stored size is in the name: another form of the segment has other frames. */
static void frame_name(const struct segment_ref *segment, uint32_t number,
		       struct hash *name_out)
{
	const struct segment_frame *frame = &segment->table->frames[number];

	cache_name('f', &segment->id, segment->index,
		   (uint64_t)frame->content_offset << 32 | frame->stored_size, name_out);
}

static bool find_frame(struct source_remote *remote, const struct segment_ref *segment,
		       uint32_t number, uint8_t *data)
{
	size_t want = segment->table->frames[number].stored_size;
	autofree uint8_t *found = NULL;
	struct hash name;
	size_t size = 0;

	frame_name(segment, number, &name);
	if (disk_cache_get(remote->disk, &name, want, &found, &size) < 0 || size != want)
		return false;
	memcpy(data, found, size);
	return true;
}

static void keep_frame(struct source_remote *remote, const struct segment_ref *segment,
		       uint32_t number, const uint8_t *data)
{
	struct hash name;

	frame_name(segment, number, &name);
	disk_cache_put(remote->disk, &name, data,
		       segment->table->frames[number].stored_size);
}

/* Frames [@first, @first + @count), of which those that are not on disk are got together. */
static int find_or_get(struct source_remote *remote, const struct segment_ref *segment,
		       uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	const struct segment_frame *frames = segment->table->frames;
	uint32_t start = frames[first].stored_offset;
	uint32_t end = first + count;
	uint32_t missing = first; /* from there on nothing was found */
	int r = 0;

	for (uint32_t i = first; r == 0 && i <= end; i++) {
		if (i < end && !find_frame(remote, segment, i,
					   data + frames[i].stored_offset - start))
			continue;
		if (i > missing)
			r = get_frames(remote, segment, missing, i - missing, false,
				       data + frames[missing].stored_offset - start, err);
		for (uint32_t n = missing; r == 0 && n < i; n++)
			keep_frame(remote, segment, n,
				   data + frames[n].stored_offset - start);
		missing = i + 1;
	}
	return r;
}

static int remote_frames(struct source *source, const struct segment_ref *segment,
			 uint32_t first, uint32_t count, uint8_t *data, struct error *err)
{
	struct source_remote *remote = remote_of(source);
	int r;

	if (count == 0 || first >= segment->table->frame_count ||
	    count > segment->table->frame_count - first)
		return error_set(err, -EINVAL, "frames %u to %u of %u", first,
				 first + count, segment->table->frame_count);
	r = remote->disk ? find_or_get(remote, segment, first, count, data, err)
			 : get_frames(remote, segment, first, count, false, data, err);
	if (r == -EBADMSG) /* the server may have it in another form by now */
		segment_cache_drop(remote->segments, cached_of(segment));
	return r;
}

static int remote_again(struct source *source, const struct segment_ref *segment,
			uint32_t number, uint8_t *data, struct error *err)
{
	struct source_remote *remote = remote_of(source);
	struct hash name;
	int r;

	if (remote->disk) {
		frame_name(segment, number, &name);
		disk_cache_drop(remote->disk, &name);
	}
	r = get_frames(remote, segment, number, 1, true, data, err);
	if (r == -EBADMSG)
		segment_cache_drop(remote->segments, cached_of(segment));
	return r;
}

static uint64_t remote_window(struct source *source)
{
	struct source_remote *remote = remote_of(source);
	uint64_t stored = atomic_load(&remote->stored);
	uint64_t content = atomic_load(&remote->content);
	struct http_figures figures;
	uint64_t window;

	http_get_figures(remote->http, &figures);
	if (stored == 0 || figures.latency > 10000000)
		return 0;
	window = figures.bandwidth / 1000 * figures.latency / 1000 * 2;
	if (window > WINDOW_LIMIT)
		return WINDOW_LIMIT;
	window = (uint64_t)((double)window * (double)content / (double)stored);
	return window < WINDOW_LIMIT ? window : WINDOW_LIMIT;
}

static void remote_free(struct source *source)
{
	struct source_remote *remote = remote_of(source);

	for (size_t i = 0; i < PAGES_MAX; i++)
		free(remote->pages[i].payload.data);
	segment_cache_free(remote->segments);
	budget_release(remote->budget, remote->reserved);
	mutex_done(&remote->mutex);
	free(remote);
}

static const struct source_ops remote_ops = {
	.page = remote_page,
	.segment = remote_segment,
	.segment_unref = remote_segment_unref,
	.frames = remote_frames,
	.again = remote_again,
	.window = remote_window,
	.free = remote_free,
};

static int reserve(struct budget *budget, uint64_t *size_out, struct error *err)
{
	uint64_t part = budget_size(budget) / 8;

	*size_out = part < MEMORY_MAX ? part : MEMORY_MAX;
	if (*size_out > MEMORY_LEAST &&
	    budget_reserve(budget, *size_out, "pages and tables", NULL) == 0)
		return 0;
	*size_out = MEMORY_LEAST;
	return budget_reserve(budget, *size_out, "pages and tables", err);
}

int source_remote_new(struct http *http, struct disk_cache *disk, struct budget *budget,
		      struct source **source_out, struct error *err)
{
	struct source_remote *remote;
	uint64_t size;
	int r;

	r = reserve(budget, &size, err);
	if (r < 0)
		return r;
	remote = calloc(1, sizeof(*remote));
	r = remote ? segment_cache_new((size_t)size / 3, &remote->segments) : -ENOMEM;
	if (r < 0) {
		free(remote);
		budget_release(budget, size);
		return error_set(err, r, "no memory for a source");
	}
	remote->base.ops = &remote_ops;
	remote->http = http;
	remote->disk = disk;
	remote->budget = budget;
	remote->reserved = size;
	remote->pages_size_max = (size_t)(size - size / 3);
	mutex_init(&remote->mutex);
	*source_out = &remote->base;
	return 0;
}
