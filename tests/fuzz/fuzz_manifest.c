/* SPDX-License-Identifier: MIT */
/* Input: one line. What is accepted must encode to a line that decodes to the same, and a
 * second encoding must give the same bytes. The two ways to read a key must agree. */
#include "base/text.h"
#include "merkle/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct manifest *manifest, const char *line, size_t size)
{
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size;

	if (manifest_decode_key(line, size, key, &key_size, NULL) < 0 ||
	    key_compare(key, key_size, manifest->key.data, manifest->key.size) != 0)
		abort();
}

static void check_again(const struct manifest *manifest)
{
	autotext struct text line = { 0 }, again = { 0 };
	struct manifest decoded = { 0 };

	/* A line may grow when written anew, by escapes or base64. */
	if (manifest_encode(manifest, &line, NULL) < 0)
		return;
	if (manifest_decode(line.data, line.size, &decoded, NULL) < 0)
		abort();
	if (!manifest_same(manifest, &decoded) || manifest->version != decoded.version)
		abort();
	check_key(manifest, line.data, line.size);
	if (manifest_encode(&decoded, &again, NULL) < 0 || line.size != again.size ||
	    memcmp(line.data, again.data, line.size) != 0)
		abort();
	manifest_done(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest manifest = { 0 };
	uint8_t key[MANIFEST_KEY_MAX];
	size_t key_size;

	(void)manifest_decode_key((const char *)data, size, key, &key_size, NULL);
	if (manifest_decode((const char *)data, size, &manifest, NULL) < 0)
		return 0;
	check_key(&manifest, (const char *)data, size);
	check_again(&manifest);
	manifest_done(&manifest);
	return 0;
}
