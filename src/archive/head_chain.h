/* SPDX-License-Identifier: MIT */
#pragma once
/* The chain of heads, as somebody has it who knows one head to be right: each head names the
 * hash of the one before. Proved heads stand in a private catalog.
 *
 * Internally locked: any thread. Heads are got without a lock.
 */
#include "base/cleanup.h"
#include "merkle/hash.h"

#include <stdint.h>

struct error;
struct head_chain;
struct text;

struct head_supply {
	/* Append the heads of commits [@first, @last], a line each, in order; fewer if there
	 * are no more. -EFBIG: they are too large to be got together. */
	int (*get)(void *context, uint64_t first, uint64_t last, struct text *lines,
		   struct error *err);
	void *context;
};

/* Over the catalog at @path, for the archive @id, whose head @head is right. *@supply is
 * copied. -EBADMSG: it is none; -ESTALE: it is another archive's. */
int head_chain_new(const char *path, const struct hash *id, const char *head,
		   const struct head_supply *supply, struct head_chain **chain_out,
		   struct error *err);
void head_chain_free(struct head_chain *chain);
DEFINE_AUTOPTR(head_chain);

/* The number of the newest head. */
uint64_t head_chain_newest(struct head_chain *chain);

/* Put @head on top, if it descends from the newest one; -ESTALE otherwise, or if the heads
 * between are not to be had. The newest one itself is fine. */
int head_chain_append(struct head_chain *chain, const char *head, struct error *err);

/* Prove the chain back to commit @from. *hash_out, unless NULL, is the hash of its head.
 * -ESTALE: it can't be proved. */
int head_chain_prove(struct head_chain *chain, uint64_t from, struct hash *hash_out,
		     struct error *err);
