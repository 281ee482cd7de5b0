/* SPDX-License-Identifier: MIT */
/* A file that is accepted gives settings whose dump gives the same settings; one that is
 * refused says why and changes nothing. */
#include "base/cleanup.h"
#include "base/config.h"
#include "base/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be(bool condition)
{
	if (!condition)
		abort();
}

static void dump(const struct config *config, struct text *text)
{
	must_be(config_dump(config, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autoconfig struct config config = { 0 };
	autoconfig struct config again = { 0 };
	autotext struct text before = { 0 };
	autotext struct text first = { 0 };
	autotext struct text second = { 0 };
	struct error err = { 0 };
	int r;

	must_be(config_defaults(&config) == 0 && config_defaults(&again) == 0);
	dump(&config, &before);
	r = config_parse(&config, "fuzz", data, size, &err);
	dump(&config, &first);
	if (r < 0) {
		must_be(err.text[0] &&
			strcmp(text_string(&before), text_string(&first)) == 0);
		return 0;
	}

	must_be(config_parse(&again, "dump", first.data, first.size, &err) == 0);
	dump(&again, &second);
	must_be(strcmp(text_string(&first), text_string(&second)) == 0);
	return 0;
}
