/* SPDX-License-Identifier: MIT */
#include "support/tree_model.h"

#include "archive/tree_builder.h"
#include "merkle/manifest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FOLDER_ENTRIES 64

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void tree_model_init(struct tree_model *model, uint32_t count)
{
	*model = (struct tree_model){ .count = count };
	model->versions = must(calloc(count, sizeof(*model->versions)));
}

void tree_model_copy(const struct tree_model *model, struct tree_model *copy_out)
{
	*copy_out = *model;
	copy_out->versions = must(malloc(model->count * sizeof(*model->versions)));
	memcpy(copy_out->versions, model->versions,
	       model->count * sizeof(*model->versions));
}

void tree_model_done(struct tree_model *model)
{
	free(model->versions);
	model->versions = NULL;
}

void tree_model_fill(struct tree_model *model)
{
	for (uint32_t i = 0; i < model->count; i++)
		model->versions[i] = 1;
}

uint32_t tree_model_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)(z >> 32);
}

void tree_model_key(const struct tree_model *model, uint32_t i, struct text *key)
{
	/* Sizes that differ, or index pages would end after the same number of children. */
	size_t size = model->key_size - i * 619 % (model->key_size / 2 + 1);

	text_clear(key);
	if (text_appendf(key, "folder %04u", i / FOLDER_ENTRIES) < 0 ||
	    text_append_char(key, 0) < 0 || text_appendf(key, "file %07u", i) < 0)
		abort();
	while (key->size < size) {
		if (text_append_char(key, 0) < 0 ||
		    text_append(key, "a level further down") < 0)
			abort();
	}
}

static void add_padding(struct manifest *manifest, uint32_t size, uint64_t *state)
{
	manifest->xattr_count =
		(size + MANIFEST_XATTR_INLINE_MAX - 1) / MANIFEST_XATTR_INLINE_MAX;
	if (size == 0)
		return;
	manifest->xattrs = must(calloc(manifest->xattr_count, sizeof(*manifest->xattrs)));
	for (size_t i = 0; i < manifest->xattr_count; i++) {
		struct manifest_xattr *xattr = &manifest->xattrs[i];
		uint32_t n = size < MANIFEST_XATTR_INLINE_MAX ? size
							      : MANIFEST_XATTR_INLINE_MAX;
		char name[32];

		xattr->name.size = (size_t)snprintf(name, sizeof(name), "user.%06zu", i);
		xattr->name.data = must((uint8_t *)strdup(name));
		xattr->size = n;
		xattr->value = (struct bytes){ must(malloc(n)), n };
		for (uint32_t k = 0; k < n; k++)
			xattr->value.data[k] = (uint8_t)tree_model_random(state);
		size -= n;
	}
}

void tree_model_line(const struct tree_model *model, uint32_t i, uint32_t version,
		     struct text *line)
{
	uint64_t state = (uint64_t)i << 32 | version;
	struct manifest manifest = { .type = ENTRY_FILE,
				     .version = version,
				     .mode = 0644 };
	autotext struct text key = { 0 };

	tree_model_key(model, i, &key);
	manifest.key = (struct bytes){ (uint8_t *)key.data, key.size };
	manifest.uid = manifest.gid = 1000;
	manifest.mtime.seconds = manifest.ctime.seconds = 1700000000 + version;
	manifest.mtime.nanoseconds = tree_model_random(&state) % 1000000000;
	manifest.inode = 1000000 + i;
	manifest.size = 1 + tree_model_random(&state) % 100000;
	for (size_t k = 0; k < HASH_SIZE; k++) {
		manifest.hash.bytes[k] = (uint8_t)tree_model_random(&state);
		manifest.pack.segment.bytes[k] = (uint8_t)(i / 300 + k + 1);
	}
	manifest.pack.offset = i % 300 * 70000;
	if (model->padding > 0)
		add_padding(&manifest, tree_model_random(&state) % model->padding,
			    &state);

	text_clear(line);
	if (manifest_encode(&manifest, line, NULL) < 0)
		abort();
	line->data[--line->size] = 0; /* the newline */
	manifest.key = (struct bytes){ 0 };
	manifest_done(&manifest);
}

static int put(struct tree_builder *builder, const struct tree_model *model, uint32_t i,
	       struct error *err)
{
	autotext struct text line = { 0 };
	autotext struct text key = { 0 };

	tree_model_key(model, i, &key);
	if (model->versions[i] > 0)
		tree_model_line(model, i, model->versions[i], &line);
	return tree_builder_put(builder, (const uint8_t *)key.data, key.size, line.data,
				line.size, err);
}

int tree_model_build(struct source *source, const struct tree_sink *sink,
		     const struct hash *root, const struct tree_model *old,
		     const struct tree_model *new, struct hash *root_out)
{
	autoptr(tree_builder) builder = NULL;
	int r;

	r = tree_builder_new(source, root, sink, &builder, NULL);
	for (uint32_t i = 0; r == 0 && i < new->count; i++) {
		if (new->versions[i] != (old ? old->versions[i] : 0))
			r = put(builder, new, i, NULL);
	}
	return r < 0 ? r : tree_builder_finish(builder, root_out, NULL);
}
