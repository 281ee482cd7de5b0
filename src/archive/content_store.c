/* SPDX-License-Identifier: MIT */
/* Where a content is looked for, in this order: in packs that are not written yet; where the
 * entry's last version says; among all that the catalog knows. What is found nowhere goes
 * into the open pack.
 *
 * Long values of extended attributes are contents like those of files, but are looked for in
 * the entry's last version and in open packs only: the catalog has no index of them.
 */
#include "archive/content_store.h"

#include "archive/attributes.h"
#include "archive/change.h"
#include "archive/commit_monitor.h"
#include "archive/content_index.h"
#include "archive/frame_ring.h"
#include "archive/pack_writer.h"
#include "archive/source_file.h"
#include "archive/xattrs.h"
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct content_store {
	struct commit_monitor *monitor;
	struct frame_ring *ring;
	uint32_t frame_size;
	struct owner_names *owners;
	struct content_index *index;
	struct pack_writer *packs;
	struct content_counters counters;
};

int content_store_new(const struct content_store_options *options,
		      struct content_store **store_out, struct error *err)
{
	autoptr(content_store) store = calloc(1, sizeof(*store));
	int r;

	if (!store || owner_names_new(&store->owners) < 0)
		return error_set(err, -ENOMEM, "no memory for contents");
	store->monitor = options->monitor;
	store->ring = options->ring;
	store->frame_size = options->frame_size;
	r = content_index_new(options->session, options->segments, &store->index, err);
	if (r < 0)
		return r;
	r = pack_writer_new(options->ring, options->segments, options->frame_size,
			    &store->packs, err);
	if (r < 0)
		return r;
	*store_out = take_ptr(store);
	return 0;
}

void content_store_free(struct content_store *store)
{
	if (!store)
		return;
	pack_writer_free(store->packs);
	content_index_free(store->index);
	owner_names_free(store->owners);
	free(store);
}

const struct content_counters *content_store_counters(const struct content_store *store)
{
	return &store->counters;
}

void content_store_count(struct content_store *store, uint64_t new_size,
			 uint64_t known_size)
{
	store->counters.read_size += new_size + known_size;
	store->counters.new_size += new_size;
	store->counters.known_size += known_size;
}

int content_store_step(struct content_store *store, struct error *err)
{
	return pack_writer_step(store->packs, err);
}

/* A value that is too long for the manifest. The kernel's limit is below a frame's size. */
static int put_value(struct content_store *store, struct change *change,
		     struct manifest_xattr *xattr, struct error *err)
{
	struct pack_content content = {
		.change = change,
		.place = &xattr->pack,
		.hash = &xattr->hash,
		.size = (uint32_t)xattr->size,
	};
	bool found;
	int r;

	if (xattr->size > store->frame_size)
		return error_set(err, -E2BIG, "an extended attribute of %u bytes",
				 content.size);
	hash_bytes(xattr->value.data, xattr->size, &xattr->hash);
	r = content_index_find_xattr(store->index, xattr, change->previous, &xattr->pack,
				     &found, err);
	if (r == 0 && !found)
		r = pack_writer_share(store->packs, &content, &found, err);
	if (r == 0 && !found)
		r = pack_writer_add(store->packs, &content, xattr->value.data, err);
	free(xattr->value.data);
	xattr->value = (struct bytes){ 0 };
	return r;
}

int content_store_attributes(struct content_store *store, struct change *change,
			     const struct stat *stat, struct xattrs *xattrs,
			     struct error *err)
{
	struct manifest *manifest = &change->manifest;
	int r;

	r = attributes_set(manifest, stat, store->owners);
	if (r < 0)
		return error_set(err, r, "no memory for attributes");
	assert(!manifest->xattrs);
	manifest->xattrs = xattrs->items;
	manifest->xattr_count = xattrs->count;
	*xattrs = (struct xattrs){ 0 };
	for (size_t i = 0; i < manifest->xattr_count; i++) {
		struct manifest_xattr *xattr = &manifest->xattrs[i];

		if (xattr->size <= MANIFEST_XATTR_INLINE_MAX)
			continue;
		r = put_value(store, change, xattr, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool same_time(const struct entry_time *a, const struct entry_time *b)
{
	return a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

static void check_rot(const struct content_store *store, const struct change *change)
{
	const struct manifest *now = &change->manifest;
	const struct manifest *before = change->previous;
	autofree char *path = NULL;
	struct error err = { 0 };

	if (!before || before->type != ENTRY_FILE || before->size != now->size ||
	    !same_time(&before->mtime, &now->mtime) ||
	    hash_equal(&before->hash, &now->hash))
		return;
	path = change_path(change);
	error_set(&err, -EBADMSG,
		  "other content with the same size and mtime as in version %u: "
		  "the source may be damaged",
		  before->version);
	monitor_problem(store->monitor, COMMIT_BIT_ROT, path ? path : "?", &err);
}

void content_store_describe(struct content_store *store, struct change *change,
			    const struct hash *hash, struct holes *holes)
{
	struct manifest *manifest = &change->manifest;

	manifest->hash = *hash;
	if (holes) {
		manifest->holes = holes->items;
		manifest->hole_count = holes->count;
		*holes = (struct holes){ 0 };
	}
	check_rot(store, change);
}

/* Whether the archive has the content; then its place is set or being waited for. */
static int find(struct content_store *store, const struct pack_content *content,
		bool *found_out, struct error *err)
{
	int r;

	r = pack_writer_share(store->packs, content, found_out, err);
	if (r == 0 && !*found_out)
		r = content_index_find(store->index, content->hash, content->size,
				       content->change->previous, content->place,
				       found_out, err);
	if (r < 0)
		return r;
	if (!*found_out) {
		content_index_note(store->index, content->hash);
		*content->place = (struct pack_place){ 0 };
	}
	content_store_count(store, *found_out ? 0 : content->size,
			    *found_out ? content->size : 0);
	return 0;
}

static struct pack_content file_content(struct change *change)
{
	return (struct pack_content){
		.change = change,
		.place = &change->manifest.pack,
		.hash = &change->manifest.hash,
		.size = (uint32_t)change->manifest.size,
	};
}

int content_store_put(struct content_store *store, struct change *change,
		      const uint8_t *data, struct error *err)
{
	struct pack_content content = file_content(change);
	bool found;
	int r;

	if (content.size == 0)
		return 0;
	r = find(store, &content, &found, err);
	if (r < 0 || found)
		return r;
	return pack_writer_add(store->packs, &content, data, err);
}

int content_store_put_slots(struct content_store *store, struct change *change,
			    struct frame_slot *slots, struct error *err)
{
	struct pack_content content = file_content(change);
	bool found;
	int r;

	r = find(store, &content, &found, err);
	if (r == 0 && !found)
		return pack_writer_adopt(store->packs, &content, slots, err);
	while (slots) {
		struct frame_slot *slot = slots;

		slots = slot->next;
		frame_ring_release(store->ring, slot);
	}
	return r;
}
