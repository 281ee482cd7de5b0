/* SPDX-License-Identifier: MIT */
#pragma once
/* TOML for C: toml++ behind one function. No exception leaves it.
 *
 * Only what settings need comes through: sections, keys, tables [[section]] at the top or in a
 * section, and values that are strings, integers, booleans or flat arrays. Threads: pure, any thread.
 */
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum toml_kind {
	TOML_KIND_STRING,
	TOML_KIND_INTEGER,
	TOML_KIND_BOOL,
	TOML_KIND_ARRAY,
	TOML_KIND_OTHER, /* a float, date or table, or an array inside an array */
};

/* Everything is borrowed for the time of the call. */
struct toml_value {
	enum toml_kind kind;
	const char *string; /* without NUL inside */
	int64_t integer;
	bool boolean;
	const struct toml_value *items;
	size_t item_count;
};

struct toml_entry {
	const char *section; /* "" outside of any section; "a.b" for [[a.b]] */
	bool repeated; /* it is one of the tables [[section]]; their headings and keys come
			      * in order */
	const char *key; /* NULL: the section's own heading */
	unsigned line;   /* of the key, 1 is the first */
	struct toml_value value;
};

/* Called for each section and key. A negative value ends the parsing and is returned. It
 * is called from C++ and must return. */
typedef int toml_visit_fn(void *context, const struct toml_entry *entry,
			  struct error *err);

/* Parse @size bytes and visit what is there. -EINVAL with the parser's words, -ENOMEM, or
 * what @visit returned; *line_out (may be 0: unknown) says where. */
int toml_shim_parse(const char *data, size_t size, toml_visit_fn *visit, void *context,
		    unsigned *line_out, struct error *err);
