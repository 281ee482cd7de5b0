/* SPDX-License-Identifier: MIT */
/* Two ways: the index of contents, which gives versions whose paths follow from their lines,
 * or all nodes in the order of their keys, each with its versions. Of the latter every row is
 * checked, but lines are read only of what is found.
 */
#include "catalog/search.h"

#include "base/error.h"
#include "catalog/handle.h"
#include "catalog/hash_range.h"
#include "catalog/version.h"

#include <errno.h>
#include <string.h>

/* ?1 all, ?2 commit, ?3 type, ?4 any size, ?5 and ?6 sizes */
#define MATCHES                                                               \
	"((?1 OR (v.first <= ?2 AND v.end > ?2)) AND (?3 = 0 OR v.type = ?3)" \
	" AND (?4 OR (v.type = 1 AND v.size BETWEEN ?5 AND ?6)))"

static const char sql_node[] =
	"SELECT " MATCHES ", " VERSION_COLUMNS ", CASE WHEN " MATCHES
	" THEN (SELECT line FROM manifest WHERE id = v.manifest) END"
	" FROM version v WHERE v.node = ?7 ORDER BY v.first";
static const char sql_content[] =
	"SELECT " VERSION_COLUMNS ", " VERSION_LINE
	" FROM version v INDEXED BY version_content" VERSION_JOIN_LINE
	" WHERE v.content >= ?7 AND v.content <= ?8 AND " MATCHES
	" ORDER BY v.content, v.first DESC";

typedef int (*search_visit)(void *context, const uint8_t *path, size_t path_size,
			    const struct version_row *row, struct error *err);

struct searcher {
	struct catalog *catalog;
	const struct search *search;
	search_visit visit;
	void *context;
};

static int64_t signed_size(uint64_t size)
{
	return size > INT64_MAX ? INT64_MAX : (int64_t)size;
}

/* Begin a statement with MATCHES. */
static void begin(struct statement *s, const struct searcher *searcher, const char *sql)
{
	const struct search *search = searcher->search;

	statement_begin(s, searcher->catalog, sql);
	statement_bind_i64(s, search->all);
	statement_bind_i64(s, version_at(search->at));
	statement_bind_i64(s, search->type);
	statement_bind_i64(s, search->size_min == 0 && search->size_max == UINT64_MAX);
	statement_bind_i64(s, signed_size(search->size_min));
	statement_bind_i64(s, signed_size(search->size_max));
}

static int search_node(void *context, const uint8_t *key, size_t size,
		       const struct node *node, struct error *err)
{
	autostatement struct statement s = { 0 };
	size_t name_size = key_name_size(key, size);
	const struct searcher *searcher = context;
	struct stored_version version;
	int r;

	begin(&s, searcher, sql_node);
	statement_bind_i64(&s, node->id);
	while ((r = statement_step(&s, err)) == 0) {
		bool matches = statement_i64(&s);

		r = version_read(&s, node, key + size - name_size, name_size, matches,
				 &version, err);
		if (r == 0 && !matches)
			continue;
		if (r == 0)
			r = version_check_key(&version.row, key, size, err);
		if (r == 0)
			r = searcher->visit(searcher->context, key, size, &version.row,
					    err);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int search_content(const struct searcher *searcher, struct error *err)
{
	autostatement struct statement s = { 0 };
	const char *hex = searcher->search->hash;
	uint8_t key[MANIFEST_KEY_MAX];
	struct stored_version version;
	struct hash low, high;
	size_t key_size;
	int r;

	r = hash_range(hex, 1, &low, &high);
	if (r < 0)
		return error_set(err, r, "'%s' is no hash or beginning of one", hex);
	begin(&s, searcher, sql_content);
	statement_bind_blob(&s, low.bytes, VERSION_CONTENT_SIZE);
	statement_bind_blob(&s, high.bytes, VERSION_CONTENT_SIZE);
	while ((r = statement_step(&s, err)) == 0) {
		r = version_read_anywhere(&s, key, &key_size, &version, err);
		if (r < 0)
			return r;
		if (hash_compare(&version.row.hash, &low) < 0 ||
		    hash_compare(&version.row.hash, &high) > 0)
			continue;
		r = searcher->visit(searcher->context, key, key_size, &version.row, err);
		if (r != 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int catalog_search(struct catalog *catalog, const struct search *search,
		   search_visit visit, void *context, struct error *err)
{
	struct searcher searcher = {
		.catalog = catalog,
		.search = search,
		.visit = visit,
		.context = context,
	};

	if (search->hash)
		return search_content(&searcher, err);
	return node_visit_all(catalog, search_node, &searcher, err);
}
