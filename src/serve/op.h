/* SPDX-License-Identifier: MIT */
#pragma once
/* What is behind the routes, one function each, in the files op_*.c. A result below 0 is
 * answered by a problem document that says so. Threads: as the request. */
struct error;
struct request;

int op_files(struct request *request, struct error *err);
int op_stream(struct request *request, struct error *err);
