/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Who has a volume. A loan is an entry of the row's `attachments`; the volume is attached as long
 * as there is one. Whoever changes the list has read the row before, and the row's revision guards
 * the commit: of two who want to write at once one is told who has it, and of two readers one reads
 * the row again.
 */
#include "daemon/volume/internal.h"

enum { LIST_BYTES = 160 * LIMIT_VOLUME_HOLDERS, ATTEMPTS = 2 * LIMIT_VOLUME_HOLDERS };

/* ---- the list ---- */

int volume_loans(const struct store_volume *row, struct arena *a, struct volume_loans *ret)
{
	const struct json *list;

	*ret = (struct volume_loans){0};
	if (volume_state(row) != VOLUME_ATTACHED)
		return 0;
	if (!row->attachments.n) { /* of a version that knew one holder */
		ret->items[ret->count++] = (struct volume_loan){.execution = row->execution_id};
		return 0;
	}
	int r = json_parse(a, row->attachments, NULL, &list);
	if (r == 0 && (list->type != JSON_ARRAY || list->count > LIMIT_VOLUME_HOLDERS))
		r = err_raise(-EUCLEAN, "volume: attachments are no list");
	if (r < 0)
		return err_trace(r);
	json_for_each (item, list) {
		struct volume_loan *l = &ret->items[ret->count++];
		r = uuid_parse(json_str(item, "execution_id", SPAN("")), &l->execution);
		if (r < 0)
			return err_raise(-EUCLEAN, "volume: an attachment without its execution");
		l->read_only = span_is(json_str(item, "access_mode", SPAN("")), "read-only");
		l->owned = json_bool(item, "owned", false);
	}
	return 0;
}

static const char *access_word(const struct volume_loan *l)
{
	return l->read_only ? "read-only" : "read-write";
}

static int list_write(const struct volume_loans *loans, struct arena *a, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIST_BYTES);
	struct json_writer w = json_writer(&b);
	char id[UUID_TEXT_BYTES];

	json_array(&w);
	for (size_t i = 0; i < loans->count; i++) {
		uuid_text(loans->items[i].execution, id);
		json_object(&w);
		json_field_cstr(&w, "execution_id", id);
		json_field_cstr(&w, "access_mode", access_word(&loans->items[i]));
		if (loans->items[i].owned)
			json_field_bool(&w, "owned", true);
		json_end(&w);
	}
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "volume: request memory used up");
}

static struct volume_loan *loan_of(struct volume_loans *loans, struct uuid execution)
{
	for (size_t i = 0; i < loans->count; i++)
		if (uuid_eq(loans->items[i].execution, execution))
			return &loans->items[i];
	return NULL;
}

static const struct volume_loan *writer_of(const struct volume_loans *loans)
{
	for (size_t i = 0; i < loans->count; i++)
		if (!loans->items[i].read_only)
			return &loans->items[i];
	return NULL;
}

/* ---- lending ---- */

/* Why it cannot be lent so; 0: it can. */
static int check_lendable(const struct store_volume *row, const struct volume_loans *loans,
	const struct volume_loan *wanted, struct arena *a, struct span *ret_why)
{
	const struct volume_loan *writer = wanted->read_only ? NULL : writer_of(loans);
	char holder[UUID_TEXT_BYTES];

	switch ((enum volume_state)volume_state(row)) {
	case VOLUME_AVAILABLE:
	case VOLUME_DETACHED:
	case VOLUME_ATTACHED:
		break;
	case VOLUME_CREATING:
	case VOLUME_DELETING:
	case VOLUME_DELETED:
	case VOLUME_FAILED:
	case VOLUME_STATE_COUNT:
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"volume '" SPAN_FMT "' is %s, and only one that is available, attached or "
			"detached can be attached",
			SPAN_ARG(row->name), row->status);
	}
	if (writer) {
		uuid_text(writer->execution, holder);
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"volume '" SPAN_FMT "' is attached to execution %s: one execution at a "
			"time may write to a volume; wait for its end, cancel it, or ask for "
			"access_mode: read-only",
			SPAN_ARG(row->name), holder);
	}
	if (loans->count == LIMIT_VOLUME_HOLDERS)
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"volume '" SPAN_FMT "' is attached to %d executions, and to no more at a "
			"time",
			SPAN_ARG(row->name), LIMIT_VOLUME_HOLDERS);
	if (row->expires_ns && row->expires_ns <= rt_wall_ns())
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"the time of volume '" SPAN_FMT "' is over", SPAN_ARG(row->name));
	return 0;
}

static AWAITS int lend(const struct volumes *v, const struct store_volume *row,
	struct volume_loans *loans, const struct volume_loan *loan, struct arena *a,
	struct span *ret_why, int64_t deadline_ns)
{
	struct store_volume new = {
		.id = row->id,
		.execution_id = loan->execution,
		.attached_ns = rt_wall_ns(),
		.status = volume_word(VOLUME_ATTACHED),
	};
	const struct volume_move m = {.type = EVENT_VOLUME_ATTACHED,
		.row = &new,
		.execution = loan->execution,
		.expect_revision = row->revision,
		.access_mode = access_word(loan),
		.name = row->name,
		.mount_path = loan->mount_path};

	loans->items[loans->count++] = *loan;
	int r = list_write(loans, a, &new.attachments);
	return r < 0 ? err_trace(r) : volume_record(v, &m, a, ret_why, deadline_ns);
}

static AWAITS int attach(const struct volumes *v, struct span tenant_id, struct uuid id,
	const struct volume_loan *loan, struct arena *a, struct store_volume *ret,
	struct span *ret_why, int64_t deadline_ns)
{
	struct store_volume row;
	struct volume_loans loans;
	char text[UUID_TEXT_BYTES];
	bool refused = false;
	int r = 0;

	uuid_text(id, text);
	for (int i = 0; i < ATTEMPTS; i++) {
		r = volume_find(v, tenant_id, span_cstr(text), a, &row, deadline_ns);
		if (r == VOLUME_NOT_FOUND)
			return volume_because(a, ret_why, r, "there is no volume %s", text);
		if (r == 0)
			r = volume_loans(&row, a, &loans);
		if (r == 0 && loan_of(&loans, loan->execution)) {
			*ret = row;
			return 0;
		}
		if (r == 0) {
			r = check_lendable(&row, &loans, loan, a, ret_why);
			refused = r == VOLUME_CONFLICT;
		}
		if (r == 0)
			r = lend(v, &row, &loans, loan, a, ret_why, deadline_ns);
		if (r != VOLUME_CONFLICT || refused)
			break;
	}
	return r != 0 ? err_trace(r) : volume_read(v, id, a, ret, deadline_ns);
}

int volume_attach(const struct volumes *v, struct span tenant_id, struct uuid id,
	const struct volume_loan *loan, struct arena *a, struct store_volume *ret,
	struct span *ret_why, int64_t deadline_ns)
{
	struct volume_lock *lock = NULL;
	int r = loan->read_only ? 0 : volume_lock(v, id, &lock, deadline_ns);

	if (r == 0)
		r = attach(v, tenant_id, id, loan, a, ret, ret_why, deadline_ns);
	volume_unlock(v, lock);
	return err_trace(r);
}

/* ---- giving back ---- */

/* Without the loan; what was owned expires with it, so that it goes even if we die now. */
static AWAITS int give_back(const struct volumes *v, const struct store_volume *row,
	struct volume_loans *loans, struct volume_loan *loan, struct arena *a, int64_t deadline_ns)
{
	struct volume_loan left = *loan;
	struct store_volume new = {.id = row->id, .detached_ns = rt_wall_ns()};
	const struct volume_move m = {.type = EVENT_VOLUME_DETACHED,
		.row = &new,
		.execution = left.execution,
		.expect_revision = row->revision,
		.access_mode = access_word(&left)};
	struct span why;

	*loan = loans->items[--loans->count];
	new.status = volume_word(loans->count ? VOLUME_ATTACHED : VOLUME_DETACHED);
	new.expires_ns = left.owned ? rt_wall_ns() : 0;
	int r = list_write(loans, a, &new.attachments);
	return r < 0 ? err_trace(r) : volume_record(v, &m, a, &why, deadline_ns);
}

int volume_detach(
	const struct volumes *v, struct uuid id, struct uuid execution, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new((size_t)ATTEMPTS * 64 * 1024);
	struct store_volume row;
	struct volume_loans loans;
	struct span why = SPAN("its row changes too often");
	bool owned = false;
	int r = VOLUME_CONFLICT;

	if (!a)
		return err_raise(-ENOMEM, "volume: out of memory");
	for (int i = 0; i < ATTEMPTS && r == VOLUME_CONFLICT; i++) {
		r = volume_read(v, id, a, &row, deadline_ns);
		if (r == 0)
			r = volume_loans(&row, a, &loans);
		struct volume_loan *loan = r == 0 ? loan_of(&loans, execution) : NULL;
		if (!loan)
			return r < 0 ? err_trace(r) : 0;
		owned = loan->owned;
		r = give_back(v, &row, &loans, loan, a, deadline_ns);
	}
	if (r == 0 && owned)
		r = volume_read(v, id, a, &row, deadline_ns);
	if (r == 0 && owned)
		r = volume_delete(v, &row, a, &why, deadline_ns);
	return r > 0 ? err_raise(-EBUSY, SPAN_FMT, SPAN_ARG(why)) : err_trace(r);
}
