/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A volume's life. The row moves first and the bytes follow, in both directions: a process that
 * dies between the two leaves `creating` or `deleting`, which the next one finishes (settle.c).
 */
#include "daemon/volume/internal.h"
#include <ctype.h>
#include <string.h>

enum { NAME_BYTES_MAX = 63, DETAILS_BYTES = 4096, TTL_HOURS_MAX = 24 * 366 };

int volume_because(struct arena *a, struct span *ret_why, int outcome, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = arena_vprintf(a, fmt, args);
	va_end(args);
	if (!text)
		return err_raise(-ENOMEM, "volume: request memory used up");
	*ret_why = span_cstr(text);
	return outcome;
}

/* ---- records ---- */

static int details_of(const struct volume_move *m, struct arena *a, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DETAILS_BYTES);
	struct json_writer w = json_writer(&b);
	char id[UUID_TEXT_BYTES];

	uuid_text(m->row->id, id);
	json_object(&w);
	json_field_cstr(&w, "volume_id", id);
	if (m->row->name.n || m->name.n)
		json_field_span(&w, "name", m->row->name.n ? m->row->name : m->name);
	if (m->row->size_limit_bytes)
		json_field_i64(&w, "size_limit_bytes", m->row->size_limit_bytes);
	if (m->access_mode)
		json_field_cstr(&w, "access_mode", m->access_mode);
	if (m->mount_path.n)
		json_field_span(&w, "mount_path", m->mount_path);
	if (m->reason.n)
		json_field_span(&w, "reason", span_sub(m->reason, 0, DETAILS_BYTES / 8));
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "volume: request memory used up");
}

int volume_record(const struct volumes *v, const struct volume_move *m, struct arena *a,
	struct span *ret_why, int64_t deadline_ns)
{
	struct store_event e = event_of(m->type, m->execution, (struct uuid){{0}}, 0);
	struct store_change change = {
		.kind = m->creates ? STORE_VOLUME_CREATE : STORE_VOLUME_UPDATE,
		.expect_revision = m->expect_revision,
		.volume = m->row};
	struct store_commit c = {
		.events = &e, .event_count = 1, .changes = &change, .change_count = 1};
	int r = details_of(m, a, &e.details);

	e.tenant_id = m->row->tenant_id;
	if (r == 0)
		r = event_publish(v->bus, &c, deadline_ns);
	if (r == STORE_CONFLICT)
		return volume_because(a, ret_why, VOLUME_CONFLICT, "%s", c.refusal);
	if (r == STORE_NOT_FOUND)
		return volume_because(a, ret_why, VOLUME_NOT_FOUND, "%s", c.refusal);
	return err_trace(r);
}

int volume_read(const struct volumes *v, struct uuid id, struct arena *a, struct store_volume *ret,
	int64_t deadline_ns)
{
	int r = store_volume_get(v->store, id, a, ret, deadline_ns);

	return r == STORE_NOT_FOUND ? VOLUME_NOT_FOUND : err_trace(r);
}

/* ---- making and finding ---- */

static bool name_is_good(struct span name)
{
	if (name.n == 0 || name.n > NAME_BYTES_MAX || !isalnum((unsigned char)name.p[0]))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!isalnum((unsigned char)name.p[i]) && !strchr("._-", name.p[i]))
			return false;
	struct uuid id;
	if (uuid_parse(name, &id) == 0)
		return false; /* it would be taken for one */
	err_clear();
	return true;
}

static int check_name(struct span name, struct arena *a, struct span *ret_why)
{
	if (name_is_good(name))
		return 0;
	return volume_because(a, ret_why, VOLUME_INVALID,
		"'" SPAN_FMT "' is no name of a volume: 1 to %d letters, digits, '.', '_' and '-' "
		"are accepted, a letter or digit first, and no UUID",
		SPAN_ARG(span_sub(name, 0, 2 * NAME_BYTES_MAX)), NAME_BYTES_MAX);
}

static int check_request(const struct volume_request *q, struct arena *a, struct span *ret_why)
{
	int r = check_name(q->name, a, ret_why);

	if (r != 0)
		return r;
	if (q->size_limit_bytes < 0 || q->size_limit_inodes < 0)
		return volume_because(a, ret_why, VOLUME_INVALID,
			"a size limit is a positive number, or 0 for none");
	if (q->ttl_hours < 0 || q->ttl_hours > TTL_HOURS_MAX)
		return volume_because(a, ret_why, VOLUME_INVALID,
			"ttl_hours is %lld; 0 (for ever) to %d are accepted",
			(long long)q->ttl_hours, TTL_HOURS_MAX);
	return 0;
}

int volume_create(const struct volumes *v, const struct volume_request *q, struct arena *a,
	struct store_volume *ret, struct span *ret_why, int64_t deadline_ns)
{
	uint8_t random[16];
	int r = check_request(q, a, ret_why);

	if (r != 0)
		return r;
	rt_random(random, sizeof(random));
	struct store_volume row = {
		.id = uuid_from_random(random),
		.tenant_id = q->tenant_id,
		.name = q->name,
		.storage_class = q->ttl_hours ? SPAN("ephemeral") : SPAN("persistent"),
		.size_limit_bytes = q->size_limit_bytes,
		.size_limit_inodes = q->size_limit_inodes,
		.expires_ns = q->ttl_hours ? rt_wall_ns() + q->ttl_hours * 3600 * NS_PER_S : 0,
		.status = volume_word(VOLUME_CREATING),
	};
	struct volume_move m = {.type = EVENT_VOLUME_CREATING, .row = &row, .creates = true};
	r = volume_record(v, &m, a, ret_why, deadline_ns);
	if (r == 0)
		r = volume_make(v, row.id, a, deadline_ns);
	return r != 0 ? r : volume_read(v, row.id, a, ret, deadline_ns);
}

int volume_find(const struct volumes *v, struct span tenant_id, struct span id_or_name,
	struct arena *a, struct store_volume *ret, int64_t deadline_ns)
{
	struct store_volume row;
	struct uuid id;
	int r;

	if (uuid_parse(id_or_name, &id) == 0) {
		r = store_volume_get(v->store, id, a, &row, deadline_ns);
	} else {
		err_clear();
		r = store_volume_find(v->store, tenant_id, id_or_name, a, &row, deadline_ns);
	}
	if (r < 0)
		return err_trace(r);
	if (r == STORE_NOT_FOUND || volume_state(&row) == VOLUME_DELETED ||
		!span_eq(row.tenant_id, tenant_id))
		return VOLUME_NOT_FOUND;
	*ret = row;
	return 0;
}

int volume_rename(const struct volumes *v, const struct store_volume *row, struct span name,
	struct arena *a, struct store_volume *ret, struct span *ret_why, int64_t deadline_ns)
{
	struct store_volume new = {.id = row->id, .name = name};
	struct volume_move m = {.type = EVENT_VOLUME_RENAMED, .row = &new};
	int r = check_name(name, a, ret_why);

	if (r == 0)
		r = volume_record(v, &m, a, ret_why, deadline_ns);
	return r != 0 ? r : volume_read(v, row->id, a, ret, deadline_ns);
}

/* ---- deleting ---- */

static AWAITS int delete_alone(const struct volumes *v, const struct store_volume *row,
	struct arena *a, struct span *ret_why, int64_t deadline_ns)
{
	struct store_volume new = {.id = row->id, .status = volume_word(VOLUME_DELETING)};
	struct volume_move m = {.type = EVENT_VOLUME_DELETING, .row = &new};
	struct volume_loans loans;
	char holder[UUID_TEXT_BYTES];
	int r = volume_loans(row, a, &loans);

	if (r == 0 && loans.count) {
		uuid_text(loans.items[0].execution, holder);
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"volume '" SPAN_FMT "' is attached to execution %s%s, and can be deleted "
			"after that has ended",
			SPAN_ARG(row->name), holder, loans.count > 1 ? " and others" : "");
	}
	if (r == 0 && volume_state(row) != VOLUME_DELETING)
		r = volume_record(v, &m, a, ret_why, deadline_ns);
	return r != 0 ? r : err_trace(volume_unmake(v, row->id, a, deadline_ns));
}

int volume_delete(const struct volumes *v, const struct store_volume *row, struct arena *a,
	struct span *ret_why, int64_t deadline_ns)
{
	struct volume_lock *lock;
	int r = volume_lock(v, row->id, &lock, deadline_ns);

	if (r < 0)
		return err_trace(r);
	r = delete_alone(v, row, a, ret_why, deadline_ns);
	volume_unlock(v, lock);
	return r;
}
