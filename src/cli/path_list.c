/* SPDX-License-Identifier: MIT */
#include "cli/path_list.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE 65536u /* bytes */

static int read_all(int fd, struct text *text)
{
	size_t got;
	int r;

	do {
		if (text->size >= PATH_LIST_MAX)
			return -EFBIG;
		r = text_reserve(text, READ_SIZE);
		if (r < 0)
			return r;
		r = read_full(fd, text->data + text->size, READ_SIZE, &got);
		if (r < 0)
			return r;
		text->size += got;
	} while (got > 0);
	return text_append_char(text, '\0'); /* ends the last path */
}

static int split(struct path_list *list, size_t size, char separator)
{
	size_t count = 1;

	for (size_t i = 0; i < size; i++)
		count += list->data[i] == separator;
	list->paths = calloc(count, sizeof(*list->paths));
	if (!list->paths)
		return -ENOMEM;
	for (size_t i = 0; i < size;) {
		char *start = list->data + i;
		char *end = memchr(start, separator, size - i);

		i = end ? (size_t)(end - list->data) + 1 : size;
		if (end)
			*end = '\0';
		if (start[0] != '\0')
			list->paths[list->count++] = start;
	}
	return 0;
}

int path_list_read(struct path_list *list, const char *file, bool nul, struct error *err)
{
	bool is_input = strcmp(file, "-") == 0;
	autoclose int fd = is_input ? -1 : open(file, O_RDONLY | O_CLOEXEC);
	autotext struct text text = { 0 };
	size_t size;
	int r;

	if (!is_input && fd < 0)
		return error_set_errno(err, -errno, "'%s'", file);
	r = read_all(is_input ? STDIN_FILENO : fd, &text);
	if (r < 0)
		return error_set_errno(err, r, "'%s'", file);
	size = text.size - 1;
	if (!nul && memchr(text.data, '\0', size))
		return error_set(err, -EINVAL,
				 "'%s' has a NUL byte; --from0 reads such lists", file);
	list->data = text_take(&text);
	r = split(list, size, nul ? '\0' : '\n');
	return r < 0 ? error_set(err, r, "out of memory") : 0;
}

void path_list_done(struct path_list *list)
{
	free(list->paths);
	free(list->data);
	*list = (struct path_list){ 0 };
}
