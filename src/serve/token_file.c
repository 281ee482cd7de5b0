/* SPDX-License-Identifier: MIT */
/* Tokens are compared by their hashes: how long that takes tells nothing about the token. */
#include "serve/token_file.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "serve/http_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct token_file {
	struct token *tokens;
	size_t count;
};

/* Parse one line, which is NUL-terminated and has no white space at either end. */
static int parse_line(char *line, struct token *token, struct error *err)
{
	char *path = line + strcspn(line, " \t");

	if (*path) {
		*path++ = '\0';
		path += strspn(path, " \t");
	}
	if (hash_from_hex(line, &token->hash) < 0)
		return error_set(err, -EINVAL, "no hash of 64 hexadecimal digits");
	if (!*path)
		return 0;
	token->restricted = true;
	return http_path_parse(path, &token->prefix, err);
}

static int add_line(struct token_file *file, char *line, struct error *err)
{
	struct token token = { 0 };
	struct token *tokens;
	int r;

	r = parse_line(line, &token, err);
	if (r < 0)
		return r;
	tokens = reallocarray(file->tokens, file->count + 1, sizeof(*tokens));
	if (!tokens) {
		free(token.prefix.data);
		return error_set(err, -ENOMEM, "no memory for tokens");
	}
	file->tokens = tokens;
	file->tokens[file->count++] = token;
	return 0;
}

static char *trim(char *line)
{
	size_t size;

	line += strspn(line, " \t\r");
	size = strlen(line);
	while (size > 0 && strchr(" \t\r", line[size - 1]))
		line[--size] = '\0';
	return line;
}

int token_file_parse(const char *data, size_t size, struct token_file **file_out,
		     struct error *err)
{
	autoptr(token_file) file = calloc(1, sizeof(*file));
	autotext struct text copy = { 0 };
	unsigned number = 0;
	char *line;
	char *rest;

	if (!file || text_append_bytes(&copy, data, size) < 0 ||
	    text_reserve(&copy, 1) < 0)
		return error_set(err, -ENOMEM, "no memory for tokens");
	rest = copy.data;
	if (strlen(rest) != size)
		return error_set(err, -EINVAL, "it has NUL bytes");
	while ((line = strsep(&rest, "\n"))) {
		int r;

		number++;
		line = trim(line);
		if (!*line || *line == '#')
			continue;
		r = add_line(file, line, err);
		if (r < 0)
			return error_prefix(err, r, "line %u", number);
	}
	*file_out = take_ptr(file);
	return 0;
}

int token_file_load(const char *path, struct token_file **file_out, struct error *err)
{
	autofree uint8_t *data = NULL;
	size_t size;
	int r;

	r = file_read_all(AT_FDCWD, path, TOKEN_FILE_MAX, &data, &size, err);
	if (r < 0)
		return r;
	r = token_file_parse((const char *)data, size, file_out, err);
	return r < 0 ? error_prefix(err, r, "'%s'", path) : 0;
}

void token_file_free(struct token_file *file)
{
	if (!file)
		return;
	for (size_t i = 0; i < file->count; i++)
		free(file->tokens[i].prefix.data);
	free(file->tokens);
	free(file);
}

size_t token_file_count(const struct token_file *file)
{
	return file->count;
}

const struct token *token_file_find_hash(const struct token_file *file,
					 const struct hash *hash)
{
	for (size_t i = 0; i < file->count; i++)
		if (hash_equal(&file->tokens[i].hash, hash))
			return &file->tokens[i];
	return NULL;
}

const struct token *token_file_find(const struct token_file *file, const char *token)
{
	struct hash hash;

	hash_bytes(token, strlen(token), &hash);
	return token_file_find_hash(file, &hash);
}

/* Whether @key is at or below @folder. */
static bool is_below(const uint8_t *folder, size_t folder_size, const uint8_t *key,
		     size_t size)
{
	if (folder_size == 0)
		return true;
	return size >= folder_size && memcmp(key, folder, folder_size) == 0 &&
	       (size == folder_size || key[folder_size] == '\0');
}

enum token_reach token_reach(const struct token *token, const uint8_t *key, size_t size)
{
	const struct bytes *prefix = &token->prefix;

	if (!token->restricted || is_below(prefix->data, prefix->size, key, size))
		return TOKEN_REACHES;
	return is_below(key, size, prefix->data, prefix->size) ? TOKEN_LEADS_THERE
							       : TOKEN_REFUSES;
}
