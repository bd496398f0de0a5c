/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What this host can prevent, only detect, or not cover, why, and how to get it. A probe tries the
 * real thing (loads the program, enters the ruleset, sets up the ring) rather than believe a
 * version or a list. Further areas add their probes in registry.c.
 *
 * Probes fork and block for milliseconds: for start-up and the command line, never a worker. What
 * needs root is tried only by root; the helper, which is, runs the same probes.
 */
#pragma once

#include "daemon/base/base.h"

/* Weakest first. */
enum doctor_level {
	DOCTOR_UNAVAILABLE, /* could not be found out here; counts as nothing */
	DOCTOR_NOT_COVERED,
	DOCTOR_DETECTED,
	DOCTOR_PREVENTED,
};
const char *doctor_level_name(enum doctor_level l); /* "unavailable", "not_covered", ... */
int doctor_level_parse(const char *name, enum doctor_level *ret) MUST_USE; /* -EINVAL, no trail */

enum {
	DOCTOR_PROBES_MAX = 64,
	DOCTOR_TEXT_BYTES = 512,
};

struct doctor_finding {
	const char *id; /* "sandbox.seccomp": what `require:` names */
	const char *area; /* "sandbox", "kernel", "host", "files", "vm" */
	const char *protects; /* one sentence */
	bool advisory; /* good to know; does not count unless it is named in `require:` */
	enum doctor_level level;
	char why[DOCTOR_TEXT_BYTES]; /* what was found */
	char how[DOCTOR_TEXT_BYTES]; /* how to get more; "" if there is nothing to do */
};

struct doctor_report {
	char kernel[DOCTOR_TEXT_BYTES]; /* uname: release and machine */
	bool privileged; /* probed as root */
	size_t count;
	struct doctor_finding findings[DOCTOR_PROBES_MAX];
};

struct doctor_options {
	const char *data_dir; /* where workspaces are; NULL: probes about it are unavailable */
};

/* Never fails: what goes wrong is a finding. About 40 kB: not for a fiber's stack. */
void doctor_run(const struct doctor_options *o, struct doctor_report *ret);

/* The ids of all probes, in their order; NULL ends. */
void doctor_probe_ids(const char *ret[DOCTOR_PROBES_MAX + 1]);

const struct doctor_finding *doctor_find(const struct doctor_report *r, const char *id);

/* ---- require: ---- */

struct doctor_requirement {
	const char *id;
	enum doctor_level level;
};
struct doctor_unmet {
	const char *id; /* of the requirement or of the probe */
	enum doctor_level required;
	const struct doctor_finding *finding; /* NULL: there is no such probe */
};

/* What falls short: `all` holds for every probe that is not advisory and not named; each named one
 * has its own level. At most `max` are written, the number of all is returned. */
size_t doctor_unmet(const struct doctor_report *r, enum doctor_level all,
	const struct doctor_requirement *named, size_t named_count, struct doctor_unmet *ret,
	size_t max);

/* {"kernel","privileged","findings":[{"id","area","protects","level","why","how","advisory"}]} */
void doctor_write_json(const struct doctor_report *r, struct buf *b);
