/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The vocabulary: which keyword belongs to which drafts, what its value must be, and what checks
 * it. A keyword that is not here is an annotation and constrains nothing.
 */
#include "daemon/schema/jsonschema_internal.h"

#define OBJECTS (1u << JSON_OBJECT)
#define ARRAYS (1u << JSON_ARRAY)
#define STRINGS (1u << JSON_STRING)
#define NUMBERS (1u << JSON_NUMBER)

const struct keyword jsonschema_keywords[] = {
	{"$ref", D_ALL, SHAPE_STRING, keyword_ref, 0, 0},
	{"$recursiveRef", D19, SHAPE_STRING, keyword_recursive_ref, 0, 0},
	{"$dynamicRef", D20, SHAPE_STRING, keyword_ref, 0, 0},
	{"id", D4, SHAPE_STRING, NULL, 0, 0},
	{"$id", D6_UP, SHAPE_STRING, NULL, 0, 0},
	{"$anchor", D19_UP, SHAPE_STRING, NULL, 0, 0},
	{"$dynamicAnchor", D20, SHAPE_STRING, NULL, 0, 0},
	{"$recursiveAnchor", D19, SHAPE_BOOL, NULL, 0, 0},
	{"$defs", D19_UP, SHAPE_SCHEMA_MAP, NULL, 0, 0},
	{"definitions", D_ALL, SHAPE_SCHEMA_MAP, NULL, 0, 0},

	{"type", D_ALL, SHAPE_TYPE, keyword_type, 0, 0},
	{"enum", D_ALL, SHAPE_LIST, keyword_enum, 0, 0},
	{"const", D6_UP, SHAPE_ANY, keyword_const, 0, 0},

	{"multipleOf", D_ALL, SHAPE_POSITIVE, keyword_multiple_of, NUMBERS, 0},
	{"maximum", D_ALL, SHAPE_NUMBER, keyword_maximum, NUMBERS, 0},
	{"minimum", D_ALL, SHAPE_NUMBER, keyword_minimum, NUMBERS, 0},
	{"exclusiveMaximum", D4, SHAPE_BOOL, NULL, 0, 0},
	{"exclusiveMinimum", D4, SHAPE_BOOL, NULL, 0, 0},
	{"exclusiveMaximum", D6_UP, SHAPE_NUMBER, keyword_exclusive_maximum, NUMBERS, 0},
	{"exclusiveMinimum", D6_UP, SHAPE_NUMBER, keyword_exclusive_minimum, NUMBERS, 0},

	{"maxLength", D_ALL, SHAPE_COUNT, keyword_max_length, STRINGS, 0},
	{"minLength", D_ALL, SHAPE_COUNT, keyword_min_length, STRINGS, 0},
	{"pattern", D_ALL, SHAPE_PATTERN, keyword_pattern, STRINGS, 0},

	{"maxItems", D_ALL, SHAPE_COUNT, keyword_max_count, ARRAYS, 0},
	{"minItems", D_ALL, SHAPE_COUNT, keyword_min_count, ARRAYS, 0},
	{"uniqueItems", D_ALL, SHAPE_BOOL, keyword_unique_items, ARRAYS, 0},
	{"maxContains", D19_UP, SHAPE_COUNT, NULL, 0, 0},
	{"minContains", D19_UP, SHAPE_COUNT, NULL, 0, 0},

	{"maxProperties", D_ALL, SHAPE_COUNT, keyword_max_count, OBJECTS, 0},
	{"minProperties", D_ALL, SHAPE_COUNT, keyword_min_count, OBJECTS, 0},
	{"required", D_ALL, SHAPE_STRINGS, keyword_required, OBJECTS, 0},
	{"dependentRequired", D19_UP, SHAPE_STRINGS_MAP, keyword_dependent_required, OBJECTS, 0},

	{"allOf", D_ALL, SHAPE_SCHEMA_LIST, keyword_all_of, 0, 0},
	{"anyOf", D_ALL, SHAPE_SCHEMA_LIST, keyword_any_of, 0, 0},
	{"oneOf", D_ALL, SHAPE_SCHEMA_LIST, keyword_one_of, 0, 0},
	{"not", D_ALL, SHAPE_SCHEMA, keyword_not, 0, 0},
	{"if", D7_UP, SHAPE_SCHEMA, keyword_if, 0, 0},
	{"then", D7_UP, SHAPE_SCHEMA, NULL, 0, 0},
	{"else", D7_UP, SHAPE_SCHEMA, NULL, 0, 0},
	{"dependencies", D_ALL, SHAPE_DEPENDENCIES, keyword_dependencies, OBJECTS, 0},
	{"dependentSchemas", D19_UP, SHAPE_SCHEMA_MAP, keyword_dependencies, OBJECTS, 0},

	{"properties", D_ALL, SHAPE_SCHEMA_MAP, keyword_properties, OBJECTS, 0},
	{"patternProperties", D_ALL, SHAPE_PATTERN_MAP, keyword_pattern_properties, OBJECTS, 0},
	{"additionalProperties", D_ALL, SHAPE_SCHEMA, keyword_additional_properties, OBJECTS, 0},
	{"propertyNames", D6_UP, SHAPE_SCHEMA, keyword_property_names, OBJECTS, 0},

	{"prefixItems", D20, SHAPE_SCHEMA_LIST, keyword_prefix_items, ARRAYS, 0},
	{"items", D20, SHAPE_SCHEMA, keyword_items, ARRAYS, 0},
	{"items", D4 | D6 | D7 | D19, SHAPE_SCHEMA_OR_LIST, keyword_items, ARRAYS, 0},
	{"additionalItems", D4 | D6 | D7 | D19, SHAPE_SCHEMA, keyword_additional_items, ARRAYS, 0},
	{"contains", D6_UP, SHAPE_SCHEMA, keyword_contains, ARRAYS, 0},

	{"unevaluatedProperties", D19_UP, SHAPE_SCHEMA, keyword_unevaluated_properties, OBJECTS, 1},
	{"unevaluatedItems", D19_UP, SHAPE_SCHEMA, keyword_unevaluated_items, ARRAYS, 1},
	{0},
};
