/* SPDX-License-Identifier: MIT */
#include "merkle/key.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

int key_compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
	size_t shared = a_size < b_size ? a_size : b_size;
	int order = shared ? memcmp(a, b, shared) : 0;

	return order ? order : (a_size > b_size) - (a_size < b_size);
}

static bool component_valid(const uint8_t *name, size_t size)
{
	if (size < 1 || size > KEY_COMPONENT_MAX || memchr(name, '/', size))
		return false;
	return !(size == 1 && name[0] == '.') &&
	       !(size == 2 && name[0] == '.' && name[1] == '.');
}

bool key_valid(const uint8_t *key, size_t size)
{
	const uint8_t *end = key + size;

	if (size < 1 || size > MANIFEST_KEY_MAX)
		return false;
	for (;;) {
		const uint8_t *zero = memchr(key, 0, (size_t)(end - key));

		if (!component_valid(key, (size_t)((zero ? zero : end) - key)))
			return false;
		if (!zero)
			return true;
		key = zero + 1;
	}
}

size_t key_name_size(const uint8_t *key, size_t size)
{
	const uint8_t *zero = size ? memrchr(key, 0, size) : NULL;

	return zero ? (size_t)(key + size - zero - 1) : size;
}

static void replace(uint8_t *data, size_t size, uint8_t from, uint8_t to)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] == from)
			data[i] = to;
}

int key_from_path(const char *path, struct bytes *key_out, struct error *err)
{
	autofree uint8_t *key = NULL;
	size_t size = strlen(path);

	if (size < 1 || size > MANIFEST_KEY_MAX)
		return error_set(err, -EINVAL, "a path of %zu bytes", size);
	key = (uint8_t *)strdup(path);
	if (!key)
		return error_set(err, -ENOMEM, "no memory for a path");
	replace(key, size, '/', 0);
	if (!key_valid(key, size))
		return error_set(err, -EINVAL, "'%s' is no path inside an archive", path);

	key_out->data = take_ptr(key);
	key_out->size = size;
	return 0;
}

int key_to_path(const uint8_t *key, size_t size, char **path_out)
{
	char *path = malloc(size + 1);

	if (!path)
		return -ENOMEM;
	if (size)
		memcpy(path, key, size);
	replace((uint8_t *)path, size, 0, '/');
	path[size] = '\0';
	*path_out = path;
	return 0;
}
