/* SPDX-License-Identifier: MIT */
#include "remote/trust_check.h"

#include "archive/head_chain.h"
#include "base/error.h"
#include "remote/trust.h"

#include <errno.h>
#include <inttypes.h>

#define PROOF_STEP 1024u /* heads, while a pin is looked for */

int trust_check_pin(struct head_chain *chain, const struct hash *pin, struct error *err)
{
	uint64_t from = head_chain_newest(chain) + 1;
	struct hash hash;
	int r;

	do {
		uint64_t last = from;

		from = last > PROOF_STEP ? last - PROOF_STEP : 0;
		r = head_chain_prove(chain, from, NULL, err);
		for (uint64_t n = last; r == 0 && n > from; n--) {
			r = head_chain_prove(chain, n - 1, &hash, err);
			if (r == 0 && hash_equal(&hash, pin))
				return 0;
		}
	} while (r == 0 && from > 0);
	return r < 0 ? r
		     : error_set(err, -ESTALE,
				 "its commit %" PRIu64 " does not descend from the one "
				 "that is pinned",
				 head_chain_newest(chain));
}

int trust_check_chain(const struct trust *trust, struct head_chain *chain,
		      struct error *err)
{
	uint64_t newest = head_chain_newest(chain);
	struct hash hash;
	int r;

	if (newest < trust->sequence)
		return error_set(err, -ESTALE,
				 "commit %" PRIu64 " is the newest there, but %" PRIu64
				 " was seen before: it was set back",
				 newest, trust->sequence);
	r = head_chain_prove(chain, trust->sequence, &hash, err);
	if (r == 0 && !hash_equal(&hash, &trust->head))
		r = error_set(err, -ESTALE,
			      "its commit %" PRIu64 " is not the one that was seen "
			      "before: the archive was forked",
			      trust->sequence);
	return r;
}
