/* SPDX-License-Identifier: MIT */
/* Heads are got in blocks from the newer to the older, and each is compared with what the one
 * above it says. What is proved is put into the catalog at once, so nothing grows with the
 * length of the chain. That heads above the newest one descend from it shows with the last of
 * them: they are got twice, and put in the second time. Two threads may prove the same stretch at the same time; both put the
 * same.
 */
#include "archive/head_chain.h"

#include "archive/head.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/text.h"
#include "catalog/filler.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 128u /* heads got at a time, or fewer where they are large */

struct head_chain {
	struct hash id;
	struct head_supply supply;
	struct mutex mutex;      /* guards all below */
	struct catalog *catalog; /* owned */
	uint64_t newest;
	struct hash newest_hash;
	uint64_t oldest;      /* the chain is proved from here on */
	struct hash previous; /* what the oldest one says of the one before */
};

/* Where a proof has got to: what the head of commit @sequence says of the one before. */
struct link {
	uint64_t sequence;
	struct hash previous;
};

static int check_archive(const struct head_chain *chain, const struct head *head,
			 struct error *err)
{
	const struct hash *id = head->sequence ? &head->archive_id : &head->hash;

	return hash_equal(id, &chain->id)
		       ? 0
		       : error_set(err, -ESTALE, "it is a head of another archive");
}

static int put_head(struct head_chain *chain, const struct head *head, const char *json,
		    struct error *err)
{
	mutex_scope(&chain->mutex);

	return catalog_put_commit(chain->catalog, head->sequence, &head->hash, json, err);
}

int head_chain_new(const char *path, const struct hash *id, const char *head,
		   const struct head_supply *supply, struct head_chain **chain_out,
		   struct error *err)
{
	autoptr(head_chain) chain = calloc(1, sizeof(*chain));
	struct head first = { 0 };
	int r;

	if (!chain)
		return error_set(err, -ENOMEM, "no memory for heads");
	mutex_init(&chain->mutex);
	chain->id = *id;
	chain->supply = *supply;
	r = catalog_open(path, &chain->catalog, err);
	if (r == 0)
		r = catalog_be_disposable(chain->catalog, err);
	if (r == 0)
		r = head_decode(head, strlen(head), &first, err);
	if (r < 0)
		return r;
	chain->newest = chain->oldest = first.sequence;
	chain->newest_hash = first.hash;
	chain->previous = first.previous;
	r = check_archive(chain, &first, err);
	if (r == 0)
		r = put_head(chain, &first, head, err);
	head_done(&first);
	if (r == 0)
		*chain_out = take_ptr(chain);
	return r;
}

void head_chain_free(struct head_chain *chain)
{
	if (!chain)
		return;
	catalog_free(chain->catalog);
	mutex_done(&chain->mutex);
	free(chain);
}

uint64_t head_chain_newest(struct head_chain *chain)
{
	mutex_scope(&chain->mutex);

	return chain->newest;
}

/* Prove the head in @json, which has to be the one below @link, which it then becomes, and
 * put it into the catalog if @put. */
static int take_head(struct head_chain *chain, const char *json, bool put,
		     struct link *link, struct error *err)
{
	struct head head = { 0 };
	int r;

	r = head_decode(json, strlen(json), &head, err);
	if (r < 0)
		return r == -ENOMEM ? r : error_prefix(err, -ESTALE, "chain of heads");
	if (head.sequence != link->sequence - 1 ||
	    !hash_equal(&head.hash, &link->previous))
		r = error_set(err, -ESTALE,
			      "the head before that of commit %" PRIu64
			      " is not the one that it names",
			      link->sequence);
	if (r == 0)
		r = check_archive(chain, &head, err);
	if (r == 0 && put)
		r = put_head(chain, &head, json, err);
	if (r == 0)
		*link = (struct link){ head.sequence, head.previous };
	head_done(&head);
	return r;
}

/* The start of the last line of @lines, which is cut off. NULL: there is none. */
static char *take_last_line(struct text *lines)
{
	size_t size = lines->size;
	char *line;

	while (size > 0 && lines->data[size - 1] == '\n')
		size--;
	if (size == 0)
		return NULL;
	text_truncate(lines, size);
	line = memrchr(lines->data, '\n', size);
	line = line ? line + 1 : lines->data;
	lines->size = (size_t)(line - lines->data); /* the line's NUL stays */
	return line;
}

/* Prove heads below @link, down to @first, and put them into the catalog if @put. */
static int take_heads(struct head_chain *chain, uint64_t first, bool put,
		      struct link *link, struct error *err)
{
	uint64_t block = BLOCK;

	while (link->sequence > first) {
		uint64_t last = link->sequence - 1;
		uint64_t from = last - first < block ? first : last - block + 1;
		autotext struct text lines = { 0 };
		char *line;
		int r;

		r = chain->supply.get(chain->supply.context, from, last, &lines, err);
		if (r == -EFBIG && block > 1) {
			block /= 2;
			continue;
		}
		if (r < 0)
			return r;
		while (link->sequence > from) {
			line = take_last_line(&lines);
			r = line ? take_head(chain, line, put, link, err)
				 : error_set(err, -ESTALE,
					     "the head of commit %" PRIu64
					     " is not to be had",
					     link->sequence - 1);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static struct link newest(struct head_chain *chain, struct hash *hash_out)
{
	mutex_scope(&chain->mutex);

	*hash_out = chain->newest_hash;
	return (struct link){ .sequence = chain->newest };
}

static void set_newest(struct head_chain *chain, const struct head *head)
{
	mutex_scope(&chain->mutex);

	if (head->sequence <= chain->newest)
		return;
	chain->newest = head->sequence;
	chain->newest_hash = head->hash;
}

static int append(struct head_chain *chain, const struct head *head, const char *json,
		  struct error *err)
{
	const struct link above = { head->sequence, head->previous };
	struct link link = above;
	struct hash hash;
	struct link top = newest(chain, &hash);
	int r;

	r = check_archive(chain, head, err);
	if (r < 0)
		return r;
	if (head->sequence == top.sequence && hash_equal(&head->hash, &hash))
		return 0;
	if (head->sequence <= top.sequence)
		return error_set(err, -ESTALE,
				 "commit %" PRIu64 " is the newest there, but %" PRIu64
				 " was seen before: it was set back or continued from an "
				 "older state",
				 head->sequence, top.sequence);
	r = take_heads(chain, top.sequence + 1, false, &link, err);
	if (r == 0 && !hash_equal(&link.previous, &hash))
		r = error_set(err, -ESTALE,
			      "commit %" PRIu64 " does not descend from commit %" PRIu64
			      " as it was seen before: the archive was forked",
			      head->sequence, top.sequence);
	link = above;
	if (r == 0)
		r = take_heads(chain, top.sequence + 1, true, &link, err);
	if (r == 0)
		r = put_head(chain, head, json, err);
	if (r == 0)
		set_newest(chain, head);
	return r;
}

int head_chain_append(struct head_chain *chain, const char *head, struct error *err)
{
	struct head decoded = { 0 };
	int r;

	r = head_decode(head, strlen(head), &decoded, err);
	if (r == 0)
		r = append(chain, &decoded, head, err);
	head_done(&decoded);
	return r;
}

static struct link oldest(struct head_chain *chain)
{
	mutex_scope(&chain->mutex);

	return (struct link){ chain->oldest, chain->previous };
}

static void set_oldest(struct head_chain *chain, const struct link *link)
{
	mutex_scope(&chain->mutex);

	if (link->sequence >= chain->oldest)
		return;
	chain->oldest = link->sequence;
	chain->previous = link->previous;
}

static int hash_of(struct head_chain *chain, uint64_t sequence, struct hash *hash_out,
		   struct error *err)
{
	struct commit_row commit = { 0 };
	int r;

	mutex_scope(&chain->mutex);
	r = catalog_get_commit(chain->catalog, sequence, &commit, err);
	if (r == 0)
		*hash_out = commit.hash;
	commit_row_done(&commit);
	return r == CATALOG_END
		       ? error_set(err, -ESTALE, "commit %" PRIu64 " is not in the chain",
				   sequence)
		       : r;
}

int head_chain_prove(struct head_chain *chain, uint64_t from, struct hash *hash_out,
		     struct error *err)
{
	struct link link = oldest(chain);
	int r;

	r = take_heads(chain, from, true, &link, err);
	if (r < 0)
		return r;
	set_oldest(chain, &link);
	return hash_out ? hash_of(chain, from, hash_out, err) : 0;
}
