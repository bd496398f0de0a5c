/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The built-in tools. One table says what each takes: the schema that the model is shown and the
 * check of what it sends both come from it. Names, arguments and answers are the documented ones
 * (aegis-docs, reference/builtin-tools).
 */
#include "daemon/tool/internal.h"
#include <stdlib.h>

#define ARGS(...) \
	.arguments = (const struct tool_argument[]){__VA_ARGS__}, \
	.argument_count = ARRAY_LEN(((const struct tool_argument[]){__VA_ARGS__}))

#define PATH_ARG(words) \
	{ \
		"path", TOOL_ARG_STRING, true, words \
	}

const struct tool_entry tool_entries[] = {
	{{.name = "aegis.system.info",
		 .read_only = true,
		 .description = "Name and version of the node that runs this tool."},
		system_info_run},
	{{.name = "cmd.run",
		 .description = "Run a command in the sandbox, in the workspace. Answers stdout, "
				"stderr and "
				"exit_code; a non-zero exit code is an answer, not an error.",
		 ARGS({"command", TOOL_ARG_STRING, true, "The program and its arguments"})},
		cmd_run_run},
	{{.name = "fs.create_dir",
		 .description = "Create a directory and its missing parents.",
		 ARGS(PATH_ARG("Directory to create"))},
		fs_create_dir_run},
	{{.name = "fs.delete",
		 .description = "Delete a file or a directory.",
		 ARGS(PATH_ARG("File or directory to delete"),
			 {"recursive", TOOL_ARG_BOOL, false,
				 "Delete a directory with everything in it"})},
		fs_delete_run},
	{{.name = "fs.edit",
		 .description = "Replace one exact occurrence of a text in a file.",
		 ARGS(PATH_ARG("File to edit"),
			 {"target_content", TOOL_ARG_STRING, true,
				 "Text that occurs exactly once in the file"},
			 {"replacement_content", TOOL_ARG_STRING, true,
				 "Text to put in its place"})},
		fs_edit_run},
	{
		{.name = "fs.glob",
			.read_only = true,
			.description = "List the files below a directory that match a glob pattern "
				       "such as *.py or "
				       "src/**/*.ts.",
			ARGS({"pattern", TOOL_ARG_STRING, true, "Glob pattern"},
				PATH_ARG("Directory to search"))},
		fs_glob_run,
	},
	{{.name = "fs.grep",
		 .read_only = true,
		 .description = "Search the files below a directory for a regular expression.",
		 ARGS({"pattern", TOOL_ARG_STRING, true, "Regular expression (PCRE2)"},
			 PATH_ARG("Directory or file to search"))},
		fs_grep_run},
	{{.name = "fs.list",
		 .read_only = true,
		 .description =
			 "List a directory, one name a line, directories with a trailing slash.",
		 ARGS(PATH_ARG("Directory to list"))},
		fs_list_run},
	{{.name = "fs.multi_edit",
		 .description = "Apply several exact replacements to a file, in order; if one does "
				"not match "
				"exactly once, the file stays as it was.",
		 ARGS(PATH_ARG("File to edit"),
			 {"edits", TOOL_ARG_EDITS, true, "Replacements, in order"})},
		fs_multi_edit_run},
	{{.name = "fs.read",
		 .read_only = true,
		 .description = "Read a file.",
		 ARGS(PATH_ARG("File to read"))},
		fs_read_run},
	{{.name = "fs.write",
		 .description = "Write a file, creating it or replacing its content.",
		 ARGS(PATH_ARG("File to write"),
			 {"content", TOOL_ARG_STRING, true, "The whole content"})},
		fs_write_run},
};
const size_t tool_entry_count = ARRAY_LEN(tool_entries);

const struct tool_description *tool_at(size_t index)
{
	return index < tool_entry_count ? &tool_entries[index].description : NULL;
}

const struct tool_description *tool_find(struct span name)
{
	for (size_t i = 0; i < tool_entry_count; i++)
		if (span_is(name, tool_entries[i].description.name))
			return &tool_entries[i].description;
	return NULL;
}

static void edits_schema_put(struct json_writer *w)
{
	static const char *const members[] = {"target_content", "replacement_content"};

	json_field_cstr(w, "type", "array");
	json_key(w, "items");
	json_object(w);
	json_field_cstr(w, "type", "object");
	json_key(w, "properties");
	json_object(w);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		json_key(w, members[i]);
		json_object(w);
		json_field_cstr(w, "type", "string");
		json_end(w);
	}
	json_end(w);
	json_key(w, "required");
	json_array(w);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		json_put_cstr(w, members[i]);
	json_end(w);
	json_field_bool(w, "additionalProperties", false);
	json_end(w);
}

void tool_schema_put(struct json_writer *w, const struct tool_description *d)
{
	json_object(w);
	json_field_cstr(w, "type", "object");
	json_key(w, "properties");
	json_object(w);
	for (size_t i = 0; i < d->argument_count; i++) {
		json_key(w, d->arguments[i].name);
		json_object(w);
		if (d->arguments[i].type == TOOL_ARG_EDITS)
			edits_schema_put(w);
		else
			json_field_cstr(w, "type",
				d->arguments[i].type == TOOL_ARG_BOOL ? "boolean" : "string");
		json_field_cstr(w, "description", d->arguments[i].description);
		json_end(w);
	}
	json_end(w);
	json_key(w, "required");
	json_array(w);
	for (size_t i = 0; i < d->argument_count; i++)
		if (d->arguments[i].required)
			json_put_cstr(w, d->arguments[i].name);
	json_end(w);
	json_field_bool(w, "additionalProperties", false);
	json_end(w);
}
