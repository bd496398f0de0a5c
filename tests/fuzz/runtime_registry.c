/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any text as a runtime registry: what is accepted is complete and names only normal paths. */
#include "daemon/confine/confine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
	CHECK(path[0] == '/' && !strstr(path, "//") && !strstr(path, "/../") &&
		!strstr(path, "/./"));
	CHECK(!span_ends(span_cstr(path), SPAN("/..")) && !span_ends(span_cstr(path), SPAN("/")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct runtime_registry *r CLEANUP(runtime_registry_cleanup) = NULL;

	if (runtime_registry_parse(span_of(data, size), "fuzz", &r) < 0) {
		err_clear();
		return 0;
	}
	for (size_t i = 0; i < runtime_registry_count(r); i++) {
		const struct runtime *t = runtime_registry_at(r, i), *found;
		CHECK(runtime_registry_find(r, t->name) == t);
		CHECK(runtime_registry_match(
			      r, span_cstr(t->languages[0]), span_cstr(t->version), &found) == 0);
		check_path(t->interpreter[0]);
		for (size_t k = 0; k < t->bind_count; k++) {
			check_path(t->binds[k].host);
			check_path(t->binds[k].inside);
		}
	}
	return 0;
}
