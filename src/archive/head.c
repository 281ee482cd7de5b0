/* SPDX-License-Identifier: MIT */
/* A head is small and rare, and what everything hangs from, so it is judged strictly: each
 * member is known, of its form, and there exactly when it has to be. The first head has a
 * nonce and neither archive, previous nor tree; all others have archive and previous.
 *
 * The hash is that of the bytes as they stand, so a head is never written again from what
 * was decoded. Encoding ends with decoding: what could not be read back is not written.
 */
#include "archive/head.h"

#include "base/error.h"
#include "base/json.h"
#include "base/json_optional.h"
#include "base/json_writer.h"
#include "base/number.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define HEAD_VERSION 1u
#define NANOSECOND_DIGITS 9
#define NANOSECONDS 1000000000u
#define TIME_TEXT_MAX (NUMBER_TEXT_MAX + 1 + NANOSECOND_DIGITS) /* bytes, NUL included */

static void write_hash(struct json_writer *writer, const char *name,
		       const struct hash *hash)
{
	if (!hash_is_zero(hash))
		json_write_hex(writer, name, hash, sizeof(*hash));
}

static void write_time(struct json_writer *writer, const struct entry_time *time)
{
	char text[TIME_TEXT_MAX + NUMBER_TEXT_MAX];
	size_t n = number_format_i64(time->seconds, text);

	(void)snprintf(text + n, sizeof(text) - n, ".%0*u", NANOSECOND_DIGITS,
		       time->nanoseconds);
	json_write_string(writer, "time", text);
}

static void write_head(struct json_writer *writer, const struct head *head)
{
	json_write_object(writer, NULL);
	json_write_u32(writer, "version", HEAD_VERSION);
	write_hash(writer, "archive", &head->archive_id);
	json_write_u64(writer, "sequence", head->sequence);
	write_hash(writer, "previous", &head->previous);
	write_hash(writer, "tree", &head->tree);
	write_time(writer, &head->time);
	if (head->message)
		json_write_string(writer, "message", head->message);
	if (head->tag_count > 0) {
		json_write_object(writer, "tags");
		for (size_t i = 0; i < head->tag_count; i++)
			json_write_string(writer, head->tags[i].key, head->tags[i].value);
		json_write_end(writer);
	}
	if (head->sequence == 0)
		json_write_hex(writer, "nonce", head->nonce, sizeof(head->nonce));
	json_write_end(writer);
}

int head_encode(struct head *head, char **json_out, struct error *err)
{
	struct head again __attribute__((__cleanup__(head_done))) = { 0 };
	autotext struct text text = { 0 };
	struct json_writer writer;
	char *json;
	int r;

	json_writer_init(&writer, &text);
	write_head(&writer, head);
	r = json_writer_finish(&writer);
	if (r < 0)
		return error_set_errno(err, r, "head: its message or tags");
	r = head_decode(text.data, text.size, &again, err);
	if (r == -EBADMSG || r == -EFBIG)
		return error_prefix(err, -EINVAL, "cannot be written");
	if (r < 0)
		return r;
	json = text_take(&text);
	if (!json)
		return error_set(err, -ENOMEM, "head");

	head->hash = again.hash;
	*json_out = json;
	return 0;
}

static int check_names(const struct json *json, struct error *err)
{
	static const char *const known[] = { "version",  "archive", "sequence",
					     "previous", "tree",    "time",
					     "message",  "tags",    "nonce" };
	const size_t count = sizeof(known) / sizeof(known[0]);

	for (const struct json *v = json_first(json); v; v = json_next(v)) {
		size_t i = 0;

		while (i < count && strcmp(json_name(v), known[i]) != 0)
			i++;
		if (i == count)
			return error_set(err, -EBADMSG, "unknown member");
	}
	return 0;
}

/* A hash that is there has to be @wanted (where it may be missing: absent means zero), and
 * zero does not stand for one. */
static int read_hash(const struct json *json, const char *name, bool wanted,
		     struct hash *hash, struct error *err)
{
	int r;

	if (json_has(json, name) != wanted)
		return error_set(err, -EBADMSG, "'%s' is %s", name,
				 wanted ? "missing" : "out of place");
	if (!wanted)
		return 0;
	r = json_get_hex(json, name, hash, sizeof(*hash), err);
	if (r == 0 && hash_is_zero(hash))
		r = error_set(err, -EBADMSG, "'%s' is zero", name);
	return r;
}

static int read_sequence(const struct json *json, struct head *head, struct error *err)
{
	int r = json_get_u64(json, "sequence", &head->sequence, err);

	if (r == 0 && head->sequence > HEAD_SEQUENCE_MAX)
		r = error_set(err, -EBADMSG, "'sequence' is beyond all reason");
	return r;
}

static int read_links(const struct json *json, struct head *head, struct error *err)
{
	bool later = head->sequence > 0;
	int r;

	r = read_hash(json, "archive", later, &head->archive_id, err);
	if (r == 0)
		r = read_hash(json, "previous", later, &head->previous, err);
	if (r == 0)
		r = read_hash(json, "tree", later && json_has(json, "tree"), &head->tree,
			      err);
	if (r < 0)
		return r;
	if (json_has(json, "nonce") == later)
		return error_set(err, -EBADMSG, "'nonce' is %s",
				 later ? "out of place" : "missing");
	if (later)
		return 0;
	return json_get_hex(json, "nonce", head->nonce, sizeof(head->nonce), err);
}

static int read_time(const struct json *json, struct entry_time *time, struct error *err)
{
	char seconds[NUMBER_TEXT_MAX];
	uint32_t nanoseconds = 0;
	const char *text;
	const char *dot;
	int r;

	r = json_get_string(json, "time", &text, err);
	if (r < 0)
		return r;
	dot = strchr(text, '.');
	if (!dot || (size_t)(dot - text) >= sizeof(seconds) ||
	    strlen(dot + 1) != NANOSECOND_DIGITS ||
	    strspn(dot + 1, "0123456789") != NANOSECOND_DIGITS)
		return error_set(err, -EBADMSG, "'time' is not seconds.nanoseconds");
	memcpy(seconds, text, (size_t)(dot - text));
	seconds[dot - text] = 0;
	if (number_parse_i64(seconds, &time->seconds) < 0)
		return error_set(err, -EBADMSG, "'time' is not a number of seconds");
	for (const char *p = dot + 1; *p; p++)
		nanoseconds = nanoseconds * 10 + (uint32_t)(*p - '0');
	time->nanoseconds = nanoseconds;
	return 0;
}

static int copy_string(const char *string, char **out, struct error *err)
{
	*out = strdup(string);
	return *out ? 0 : error_set(err, -ENOMEM, "head");
}

static int read_message(const struct json *json, struct head *head, struct error *err)
{
	const char *message;
	int r;

	if (!json_has(json, "message"))
		return 0;
	r = json_get_string(json, "message", &message, err);
	return r < 0 ? r : copy_string(message, &head->message, err);
}

static int read_tags(const struct json *json, struct head *head, struct error *err)
{
	const struct json *tags;
	const char *value;
	int r;

	if (!json_has(json, "tags"))
		return 0;
	r = json_get_object(json, "tags", &tags, err);
	if (r < 0)
		return r;
	head->tags = calloc(json_count(tags) + 1, sizeof(*head->tags));
	if (!head->tags)
		return error_set(err, -ENOMEM, "head");
	for (const struct json *v = json_first(tags); v; v = json_next(v)) {
		struct head_tag *tag = &head->tags[head->tag_count++];

		r = json_get_string(v, NULL, &value, err);
		if (r == 0)
			r = copy_string(value, &tag->value, err);
		if (r == 0)
			r = copy_string(json_name(v), &tag->key, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_version(const struct json *json, struct error *err)
{
	uint32_t version;
	int r;

	r = json_get_u32(json, "version", &version, err);
	if (r < 0)
		return r;
	if (version != HEAD_VERSION)
		return error_set(err, -EPROTONOSUPPORT, "version %u, want %u", version,
				 HEAD_VERSION);
	return check_names(json, err);
}

static int read_head(const struct json *json, struct head *head, struct error *err)
{
	int r;

	r = read_version(json, err);
	if (r == 0)
		r = read_sequence(json, head, err);
	if (r == 0)
		r = read_links(json, head, err);
	if (r == 0)
		r = read_time(json, &head->time, err);
	if (r == 0)
		r = read_message(json, head, err);
	if (r == 0)
		r = read_tags(json, head, err);
	return r;
}

int head_decode(const char *json, size_t size, struct head *head_out, struct error *err)
{
	struct head head __attribute__((__cleanup__(head_done))) = { 0 };
	autoptr(json) document = NULL;
	int r;

	r = json_parse(json, size, HEAD_SIZE_MAX, &document, err);
	if (r == 0)
		r = read_head(document, &head, err);
	if (r < 0)
		return error_prefix(err, r, "head");

	hash_bytes(json, size, &head.hash);
	*head_out = head;
	head = (struct head){ 0 };
	return 0;
}

void head_done(struct head *head)
{
	for (size_t i = 0; i < head->tag_count; i++) {
		free(head->tags[i].key);
		free(head->tags[i].value);
	}
	free(head->tags);
	free(head->message);
	*head = (struct head){ 0 };
}
