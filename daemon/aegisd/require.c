/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * `require:`, in the node's configuration and in a manifest: levels of protection that the doctor
 * must have found at start. What falls short does not start; nothing is weakened silently.
 */
#include "daemon/aegisd/aegisd.h"
#include <stdlib.h>

enum { UNMET_SHOWN = 64 };

static enum doctor_level node_level(int required)
{
	switch ((enum config_require_level)required) {
	case CONFIG_REQUIRE_NONE:
		return DOCTOR_UNAVAILABLE;
	case CONFIG_REQUIRE_DETECT:
		return DOCTOR_DETECTED;
	case CONFIG_REQUIRE_PREVENT:
		return DOCTOR_PREVENTED;
	}
	UNREACHABLE();
}

static enum doctor_level agent_level(int required)
{
	switch ((enum agent_require)required) {
	case AGENT_REQUIRE_DETECT:
		return DOCTOR_DETECTED;
	case AGENT_REQUIRE_PREVENT:
		return DOCTOR_PREVENTED;
	}
	UNREACHABLE();
}

static void put_unmet(struct buf *b, const struct doctor_unmet *u)
{
	buf_printf(b, "%s must be %s, but it is %s: %s%s%s", u->id, doctor_level_name(u->required),
		u->finding ? doctor_level_name(u->finding->level) : "not a probe of this build",
		u->finding ? u->finding->why : "see `aegis doctor` for the names",
		u->finding && *u->finding->how ? ". " : "", u->finding ? u->finding->how : "");
}

int aegisd_require(const struct aegisd *d)
{
	const struct config_require *c = &d->config->require;
	struct doctor_unmet unmet[UNMET_SHOWN];
	struct doctor_requirement *named = calloc(c->probes.count + 1, sizeof(*named));

	if (!named)
		return err_raise(-ENOMEM, "require: out of memory");
	for (size_t i = 0; i < c->probes.count; i++)
		named[i] = (struct doctor_requirement){
			c->probes.keys[i], node_level(c->probes.values[i])};
	size_t count = doctor_unmet(
		d->doctor, node_level(c->all), named, c->probes.count, unmet, UNMET_SHOWN);
	for (size_t i = 0; i < MIN(count, (size_t)UNMET_SHOWN); i++) {
		struct buf line CLEANUP(buf_fini) = buf_init(2048);
		put_unmet(&line, &unmet[i]);
		log_error("require: " SPAN_FMT, SPAN_ARG(buf_view(&line)));
	}
	free(named);
	return count ? err_raise(-EPERM,
			       "this host falls short of spec.require in %zu probes: nothing was "
			       "started",
			       count)
		     : 0;
}

bool aegisd_reaches(void *ctx, const struct agent_spec *spec, struct buf *why)
{
	const struct aegisd *d = ctx;
	enum doctor_level all = DOCTOR_UNAVAILABLE;
	struct doctor_unmet unmet[UNMET_SHOWN];
	struct doctor_requirement *named = calloc(spec->require.count + 1, sizeof(*named));
	size_t names = 0;

	if (!named) {
		buf_puts(why, "no memory to compare them; ");
		return false;
	}
	for (size_t i = 0; i < spec->require.count; i++) {
		enum doctor_level level = agent_level(spec->require.values[i]);
		if (strcmp(spec->require.keys[i], "all") == 0)
			all = level;
		else
			named[names++] = (struct doctor_requirement){spec->require.keys[i], level};
	}
	size_t count = doctor_unmet(d->doctor, all, named, names, unmet, UNMET_SHOWN);
	for (size_t i = 0; i < MIN(count, (size_t)UNMET_SHOWN); i++) {
		put_unmet(why, &unmet[i]);
		buf_puts(why, "; ");
	}
	free(named);
	return count == 0;
}
