/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which sandbox has which volume. That one execution at a time writes to a volume is aegisd's
 * promise; the helper keeps it as well, so that an aegisd that forgot who has one, or is not
 * itself any more, cannot give it to a second one, or take it from under the first. What counts is
 * what lives: a sandbox that has ended has let go of everything.
 */
#include "daemon/helper/sandbox.h"

/* The bit of the volume in the mark's `writes`, 0 where it may only read; false: not its own. */
static bool has(const struct mark *m, struct uuid volume, uint32_t *ret_writes)
{
	for (uint32_t i = 0; i < m->volume_count && i < MARK_VOLUMES; i++) {
		if (!uuid_eq(m->volumes[i], volume))
			continue;
		*ret_writes = m->writes & (1U << i);
		return true;
	}
	return false;
}

static bool lives(const struct sandbox *s)
{
	return !s->pooled && !s->released && s->mark.state != MARK_ENDED;
}

bool sandbox_has_volume(const struct sandbox_set *set, struct uuid volume)
{
	uint32_t writes;
	list_for_each (node, &set->all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (lives(s) && has(&s->mark, volume, &writes))
			return true;
	}
	return false;
}

static int check_one(
	const struct sandbox_set *set, struct uuid execution, struct uuid volume, bool read_only)
{
	char name[UUID_TEXT_BYTES];
	uint32_t writes;
	if (read_only)
		return 0;
	list_for_each (node, &set->all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (!lives(s) || uuid_eq(s->mark.execution, execution) ||
			!has(&s->mark, volume, &writes) || !writes)
			continue;
		uuid_text(volume, name);
		return err_raise(-EBUSY,
			"sandbox %s of another execution may write to volume %s, which one "
			"execution at a time may",
			s->name, name);
	}
	return 0;
}

int sandbox_volumes_check(const struct sandbox_set *set, const struct wire_create *w)
{
	int r = check_one(set, w->execution, w->workspace, w->read_only);
	for (size_t i = 0; r == 0 && i < w->place_count; i++)
		r = check_one(set, w->execution, w->places[i].volume, w->places[i].read_only);
	return err_trace(r);
}

static void note(struct mark *m, struct uuid volume, bool read_only)
{
	CHECK(m->volume_count < MARK_VOLUMES);
	if (!read_only)
		m->writes |= 1U << m->volume_count;
	m->volumes[m->volume_count++] = volume;
}

void sandbox_volumes_note(struct sandbox *s, const struct wire_create *w)
{
	s->mark.volume_count = s->mark.writes = 0;
	note(&s->mark, w->workspace, w->read_only);
	for (size_t i = 0; i < w->place_count; i++)
		note(&s->mark, w->places[i].volume, w->places[i].read_only);
}
