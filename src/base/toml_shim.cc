/* SPDX-License-Identifier: MIT */
/* The project's only C++: toml++ is the TOML parser that Debian has with line numbers for
 * values, and it throws. Everything runs inside one try block; what is thrown becomes an
 * error code. The visitor is C and throws nothing.
 */
extern "C" {
#include "base/toml_shim.h"
#include "base/toml_scan.h"
}

#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <vector>

namespace
{

/* What C cannot express: C strings end at the first NUL. */
struct nul_in_string {
	unsigned line;
};

unsigned line_of(const toml::node &node)
{
	return node.source().begin.line;
}

const char *c_string(const std::string &string, unsigned line)
{
	if (string.find('\0') != std::string::npos)
		throw nul_in_string{ line };
	return string.c_str();
}

toml_value to_scalar(const toml::node &node)
{
	toml_value value = {};

	value.kind = TOML_KIND_OTHER;
	if (const auto *string = node.as_string()) {
		value.kind = TOML_KIND_STRING;
		value.string = c_string(string->get(), line_of(node));
	} else if (const auto *integer = node.as_integer()) {
		value.kind = TOML_KIND_INTEGER;
		value.integer = integer->get();
	} else if (const auto *boolean = node.as_boolean()) {
		value.kind = TOML_KIND_BOOL;
		value.boolean = boolean->get();
	}
	return value;
}

/* @items is where the elements of an array live as long as the value. */
toml_value to_value(const toml::node &node, std::vector<toml_value> &items)
{
	const auto *array = node.as_array();

	if (!array)
		return to_scalar(node);

	toml_value value = {};

	for (const auto &item : *array)
		items.push_back(to_scalar(item));
	value.kind = TOML_KIND_ARRAY;
	value.items = items.data();
	value.item_count = items.size();
	return value;
}

struct walk {
	toml_visit_fn *visit;
	void *context;
	unsigned *line_out;
	struct error *err;

	/* [[section]] */
	int visit_tables(const std::string &section, const toml::array &tables)
	{
		int r = 0;

		for (auto it = tables.begin(); r == 0 && it != tables.end(); ++it)
			r = visit_section(section, *it->as_table(), true);
		return r;
	}

	int visit_key(const char *section, std::string_view name, const toml::node &node,
		      bool repeated)
	{
		const auto *array = node.as_array();

		if (array && !repeated && array->is_array_of_tables())
			return visit_tables(*section ? section + ("." + std::string(name))
						     : std::string(name),
					    *array);

		const std::string key(name);
		std::vector<toml_value> items;
		toml_entry entry = {};

		entry.section = section;
		entry.repeated = repeated;
		entry.line = line_of(node);
		entry.key = c_string(key, entry.line);
		entry.value = to_value(node, items);
		*line_out = entry.line;
		return visit(context, &entry, err);
	}

	int visit_section(std::string_view name, const toml::table &table, bool repeated)
	{
		const std::string section(name);
		toml_entry entry = {};
		int r;

		entry.line = line_of(table);
		entry.section = c_string(section, entry.line);
		entry.repeated = repeated;
		entry.value.kind = TOML_KIND_OTHER;
		*line_out = entry.line;
		r = visit(context, &entry, err);
		for (auto it = table.begin(); r == 0 && it != table.end(); ++it)
			r = visit_key(entry.section, it->first.str(), it->second,
				      repeated);
		return r;
	}

	int visit_document(const toml::table &document)
	{
		int r = 0;

		for (auto it = document.begin(); r == 0 && it != document.end(); ++it) {
			const auto *table = it->second.as_table();

			if (table)
				r = visit_section(it->first.str(), *table, false);
			else
				r = visit_key("", it->first.str(), it->second, false);
		}
		return r;
	}
};

} // namespace

extern "C" int toml_shim_parse(const char *data, size_t size, toml_visit_fn *visit,
			       void *context, unsigned *line_out, struct error *err)
{
	int r;

	*line_out = 0;
	r = toml_scan(data, size, line_out, err);
	if (r < 0)
		return r;

	try {
		const toml::table document = toml::parse(std::string_view(data, size));

		return walk{ visit, context, line_out, err }.visit_document(document);
	} catch (const toml::parse_error &e) {
		*line_out = e.source().begin.line;
		return error_set(err, -EINVAL, "%s", e.what());
	} catch (const nul_in_string &e) {
		*line_out = e.line;
		return error_set(err, -EINVAL, "a NUL character in a key or string");
	} catch (const std::bad_alloc &) {
		return error_set(err, -ENOMEM, "no memory to parse TOML");
	} catch (...) {
		return error_set(err, -EINVAL, "the TOML parser gave up");
	}
}
