/* SPDX-License-Identifier: MIT */
/* A head that decodes can be written, and reads back the same. */
#include "archive/head.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_same(const struct head *a, const struct head *b)
{
	if (a->sequence != b->sequence || !hash_equal(&a->archive_id, &b->archive_id) ||
	    !hash_equal(&a->previous, &b->previous) || !hash_equal(&a->tree, &b->tree) ||
	    a->time.seconds != b->time.seconds ||
	    a->time.nanoseconds != b->time.nanoseconds || a->tag_count != b->tag_count ||
	    !a->message != !b->message ||
	    memcmp(a->nonce, b->nonce, sizeof(a->nonce)) != 0)
		abort();
	if (a->message && strcmp(a->message, b->message) != 0)
		abort();
	for (size_t i = 0; i < a->tag_count; i++) {
		if (strcmp(a->tags[i].key, b->tags[i].key) != 0 ||
		    strcmp(a->tags[i].value, b->tags[i].value) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *json = NULL;
	struct head again;
	struct head head;

	if (head_decode((const char *)data, size, &head, NULL) < 0)
		return 0;
	/* Escapes may be shorter than what they are written as: close to the limit it fails. */
	if (head_encode(&head, &json, NULL) == 0) {
		if (head_decode(json, strlen(json), &again, NULL) < 0)
			abort();
		assert_same(&head, &again);
		if (!hash_equal(&head.hash, &again.hash))
			abort();
		head_done(&again);
	} else if (size < HEAD_SIZE_MAX / 8) {
		abort();
	}
	head_done(&head);
	return 0;
}
