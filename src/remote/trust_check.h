/* SPDX-License-Identifier: MIT */
#pragma once
/* Whether a chain of heads may be believed. Gets heads as far back as that takes. Any thread. */
struct error;
struct hash;
struct head_chain;
struct trust;

/* Whether the chain has the head @pin: -ESTALE if not. Errors of head_chain_prove(). */
int trust_check_pin(struct head_chain *chain, const struct hash *pin, struct error *err);

/* Whether its newest head is the remembered one, or descends from it: -ESTALE if not. */
int trust_check_chain(const struct trust *trust, struct head_chain *chain,
		      struct error *err);
