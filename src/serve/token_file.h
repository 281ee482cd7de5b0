/* SPDX-License-Identifier: MIT */
#pragma once
/* Who may read what: a file with the hashes of tokens, one a line.
 *
 *     # comment
 *     HASH              everything
 *     HASH /photos/2024 what is at or below that path, which is escaped as in a URL
 *
 * HASH is the BLAKE3 of the token, as `b3sum` prints it. Who reads the file does not learn
 * the tokens, which must be random (and so need no salt). Immutable after loading.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"
#include "merkle/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct token_file;

#define TOKEN_FILE_MAX (1u << 20) /* bytes */

struct token {
	struct hash hash;
	bool restricted;     /* to what is at or below: */
	struct bytes prefix; /* a key; empty: all paths, but nothing that is not a path */
};

/* How a path stands to what a token may read. */
enum token_reach {
	TOKEN_REACHES,     /* it may be read */
	TOKEN_LEADS_THERE, /* a folder on the way to what may be read: only that of it */
	TOKEN_REFUSES,
};

/* -EINVAL names the line; -ENOMEM. */
int token_file_parse(const char *data, size_t size, struct token_file **file_out,
		     struct error *err);
/* Also what reading the file gives. */
int token_file_load(const char *path, struct token_file **file_out, struct error *err);
void token_file_free(struct token_file *file);
DEFINE_AUTOPTR(token_file);

size_t token_file_count(const struct token_file *file);

/* The entry of the token that a client sent, or of the one with that hash; or NULL. Borrowed. */
const struct token *token_file_find(const struct token_file *file, const char *token);
const struct token *token_file_find_hash(const struct token_file *file,
					 const struct hash *hash);

enum token_reach token_reach(const struct token *token, const uint8_t *key, size_t size);
