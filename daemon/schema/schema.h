/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Documents against descriptions, layer 1: YAML and JSON that people write (doc.h), what is wrong
 * with them (report.h), tables that check them and fill C structs (table.h), JSON Schema for
 * values that machines send (jsonschema.h), and bounded regular expressions (pattern.h). Pure but
 * for the arena; no I/O. The only header of this room that other rooms include.
 */
#pragma once

#include "daemon/schema/report.h"
#include "daemon/schema/doc.h"
#include "daemon/schema/table.h"
#include "daemon/schema/jsonschema.h"
#include "daemon/schema/pattern.h"
