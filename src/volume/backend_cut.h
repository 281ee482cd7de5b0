/* SPDX-License-Identifier: MIT */
#pragma once
/* A volume as if it ended earlier: to look for records before a place where the chain is
 * broken. Reads only. Threads: as the backend behind it.
 */
#include "volume/backend.h"

/* @backend is borrowed and must outlive the cut. Free with backend_free(). -ENOMEM. */
int backend_cut_new(struct backend *backend, uint64_t end, struct backend **cut_out,
		    struct error *err);
