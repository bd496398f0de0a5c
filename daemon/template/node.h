/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/template: a parsed template is a tree of nodes. */
#pragma once

#include "daemon/template/template.h"

enum node_kind { NODE_TEXT, NODE_VALUE, NODE_IF, NODE_UNLESS, NODE_WITH, NODE_EACH };

/* "../a.b": up 1, names a and b. "@index" and "@root.a" have `special`. */
enum path_special { PATH_PLAIN, PATH_ROOT, PATH_INDEX, PATH_KEY, PATH_FIRST, PATH_LAST };
struct path {
	enum path_special special;
	int up;
	size_t count; /* 0: this */
	const struct span *names;
};

struct node {
	enum node_kind kind;
	struct node *next;
	struct span text; /* NODE_TEXT */
	struct path path;
	struct node *then, *otherwise; /* of blocks */
};

struct template
{
	struct node *first;
};
