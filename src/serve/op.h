/* SPDX-License-Identifier: MIT */
#pragma once
/* What is behind the routes, one function each, in the files op_*.c. A result below 0 is
 * answered by a problem document that says so. Threads: as the request. */
struct error;
struct request;

int op_root(struct request *request, struct error *err);
int op_web(struct request *request, struct error *err);
int op_session(struct request *request, struct error *err);
int op_files(struct request *request, struct error *err);
int op_stream(struct request *request, struct error *err);
int op_tree(struct request *request, struct error *err);
int op_search(struct request *request, struct error *err);
int op_versions(struct request *request, struct error *err);
int op_names(struct request *request, struct error *err);
int op_manifest(struct request *request, struct error *err);
int op_head(struct request *request, struct error *err);
int op_commits(struct request *request, struct error *err);
int op_tar(struct request *request, struct error *err);
int op_page(struct request *request, struct error *err);
int op_table(struct request *request, struct error *err);
int op_frames(struct request *request, struct error *err);
int op_volumes(struct request *request, struct error *err);
int op_volume(struct request *request, struct error *err);
int op_health(struct request *request, struct error *err);
int op_metrics(struct request *request, struct error *err);
int op_openapi(struct request *request, struct error *err);
int op_docs(struct request *request, struct error *err);
int op_known_list(struct request *request, struct error *err);
int op_known_file(struct request *request, struct error *err);
int op_known_manifest(struct request *request, struct error *err);
int op_known_segment(struct request *request, struct error *err);
