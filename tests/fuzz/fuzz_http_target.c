/* SPDX-License-Identifier: MIT */
/* A path that is accepted has no component that could lead elsewhere, and comes back the same
 * when it is escaped and parsed again. */
#include "base/text.h"
#include "serve/http_target.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes with a NUL behind them. */
static char *copy_string(const uint8_t *data, size_t size)
{
	char *string = calloc(1, size + 1);

	if (!string)
		abort();
	memcpy(string, data, size);
	return string;
}

static void must_be(bool condition)
{
	if (!condition)
		abort();
}

static void check_components(const struct bytes *path)
{
	for (size_t at = 0; at < path->size;) {
		const uint8_t *component = path->data + at;
		size_t size = strnlen((const char *)component, path->size - at);

		must_be(size > 0 && !(size == 1 && component[0] == '.') &&
			!(size == 2 && memcmp(component, "..", 2) == 0));
		at += size + 1;
		must_be(at != path->size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *raw = copy_string(data, size);
	autotext struct text text = { 0 };
	autotarget target = { 0 };
	autotarget again = { 0 };

	if (http_target_parse(raw, &target, NULL) < 0)
		return 0;
	must_be(target.path.size < strlen(raw) + 1);
	check_components(&target.path);
	must_be(text_append(&text, "/") == 0 &&
		http_escape_key(&text, target.path.data, target.path.size) == 0);
	must_be(http_target_parse(text_string(&text), &again, NULL) == 0);
	must_be(again.path.size == target.path.size &&
		(again.path.size == 0 ||
		 memcmp(again.path.data, target.path.data, again.path.size) == 0));
	return 0;
}
