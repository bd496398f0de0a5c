/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records of operations, on their way to the observers. An operation only queues; a fiber of the
 * layer's own hands over, and may wait for an observer without anybody waiting for it. The queue is
 * bounded in bytes; what finds no room is counted, and the next record says how many were lost. So
 * is what a bounded attachment does beyond its rate: no agent fills the journal. What was denied
 * has a rate of its own, so that it cannot be hidden behind what is allowed.
 *
 * Reads, writes and look-ups of a file may be summed up for a window of time (`coalesce_ns`): they
 * then pend at the object until the window ends, the object gets another path, or it is forgotten.
 * Each entry holds all its texts, since what they describe may be gone when it is handed over.
 */
#include "nfs/fsal/internal.h"
#include <stdlib.h>

enum { PENDING_MAX = 64 * 1024, SLOTS = 3 };

struct entry {
	struct list link;
	struct fsal_attachment *at; /* held */
	struct fsal_record record;
	struct decision decision;
	size_t bytes;
	char texts[];
};

struct slot {
	uint64_t count;
	uint64_t bytes;
	uint64_t offset;
	int64_t began_ns; /* wall clock */
	int64_t latency_ns;
	const struct decision *decision; /* interned, or open to all */
	const char *operation;
	int result;
};

struct pending {
	struct list link; /* the oldest first */
	struct fsal_object *object;
	int64_t due_ns;
	struct slot slots[SLOTS]; /* of EVENT_LOOK, EVENT_READ, EVENT_WRITE */
};

struct trace {
	struct fsal *layer;
	struct group group;
	struct waitq wake;
	struct list queue;
	struct list pending;
	size_t pending_count;
	size_t bytes, bytes_max;
	uint64_t written, dropped;
	uint64_t lost; /* dropped since the last entry that was queued */
	bool stopping;
};

/* ---- entries ---- */

static struct span put_text(char **at, struct span s)
{
	if (s.n)
		memcpy(*at, s.p, s.n);
	struct span copy = span_of(*at, s.n);
	*at += s.n;
	return copy;
}

static size_t entry_bytes(const struct fsal_record *r, const struct decision *d)
{
	size_t n = sizeof(struct entry) + r->path.n + r->call_id.n + d->policy_id.n + d->reason.n +
		d->policy_set.n;
	for (size_t i = 0; i < d->policy_count; i++)
		n += sizeof(struct span) + d->policy_ids[i].n;
	return n;
}

/* The array of policy ids stands first in `texts`, where it is aligned. */
static void decision_put(struct entry *e, char **at, const struct decision *d)
{
	struct span *ids = (struct span *)(void *)e->texts;

	*at += d->policy_count * sizeof(struct span);
	e->decision = *d;
	for (size_t i = 0; i < d->policy_count; i++)
		ids[i] = put_text(at, d->policy_ids[i]);
	e->decision.policy_ids = d->policy_count ? ids : NULL;
	e->decision.policy_id = put_text(at, d->policy_id);
	e->decision.reason = put_text(at, d->reason);
	e->decision.policy_set = put_text(at, d->policy_set);
}

_Static_assert(offsetof(struct entry, texts) % _Alignof(struct span) == 0, "ids_put");

static void queue(struct trace *q, struct fsal_attachment *at, const struct fsal_record *r,
	const struct decision *d)
{
	size_t n = entry_bytes(r, d);
	struct entry *e = q->bytes + n <= q->bytes_max ? malloc(n) : NULL;

	if (!e) {
		q->dropped++;
		q->lost++;
		return;
	}
	char *text = e->texts;
	e->at = at;
	e->bytes = n;
	e->record = *r;
	decision_put(e, &text, d);
	e->record.path = put_text(&text, r->path);
	e->record.call_id = put_text(&text, r->call_id);
	e->record.execution_id = at->o.execution_id;
	e->record.agent = at->o.agent;
	e->record.tenant = at->o.tenant;
	e->record.mount_path = at->o.mount_path;
	e->record.volume_id = span_cstr(at->volume->id);
	e->record.decision = &e->decision;
	e->record.lost_before = q->lost + at->untold;
	q->lost = at->untold = 0;
	q->bytes += n;
	at->refs++;
	list_push_back(&q->queue, &e->link);
	waitq_wake_one(&q->wake);
}

/* ---- how many are told ---- */

static bool take_token(struct meter *m, double burst, double per_s, int64_t now_ns)
{
	double earned = (double)(now_ns - m->filled_ns) / (double)NS_PER_S * per_s;

	m->tokens = m->filled_ns == 0 ? burst : MIN(m->tokens + earned, burst);
	m->filled_ns = now_ns;
	if (m->tokens < 1)
		return false;
	m->tokens -= 1;
	return true;
}

static bool may_tell(struct fsal_attachment *at, bool denied, int64_t now_ns)
{
	if (!at->o.bounded)
		return true;
	return denied ? take_token(&at->denied, LIMIT_FSAL_DENIALS_BURST,
				LIMIT_FSAL_DENIALS_PER_SECOND, now_ns)
		      : take_token(&at->told, LIMIT_FSAL_RECORDS_BURST,
				LIMIT_FSAL_RECORDS_PER_SECOND, now_ns);
}

void trace_end(struct fsal_attachment *at)
{
	static const struct decision none = {.reason = {"not decided", 11}};
	struct fsal_record r = {.began_ns = rt_wall_ns()};

	if (at->untold)
		queue(at->volume->layer->records, at, &r, &none);
}

/* ---- from operations ---- */

int64_t trace_begin(const struct fsal_object *o)
{
	return o->at->o.observer ? rt_now_ns() : 0;
}

static struct span path_of(const struct fsal_object *o, struct span name, struct buf *b)
{
	if (fsal_path(o, b) < 0)
		return SPAN("");
	if (name.n && b->len)
		buf_putc(b, '/');
	buf_span(b, name);
	return b->error ? SPAN("") : buf_view(b);
}

static void pending_flush(struct trace *q, struct pending *p)
{
	struct fsal_object *o = p->object;
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES + 1);
	struct span where = path_of(o, SPAN(""), &path);

	for (int i = 0; i < SLOTS; i++) {
		const struct slot *s = &p->slots[i];
		if (!s->count)
			continue;
		if (!may_tell(o->at, false, rt_now_ns())) {
			q->dropped++;
			o->at->untold++;
			continue;
		}
		struct fsal_record r = {
			.operation = s->operation,
			.path = where,
			.call_id = span_cstr(o->at->call_id),
			.iteration = o->at->iteration,
			.writes = i == EVENT_WRITE - 1,
			.offset = s->offset,
			.bytes = s->bytes,
			.count = s->count,
			.began_ns = s->began_ns,
			.latency_ns = s->latency_ns,
			.result = s->result,
		};
		queue(q, o->at, &r, s->decision);
	}
	list_remove(&p->link);
	q->pending_count--;
	o->pending = NULL;
	free(p);
}

static struct pending *pending_of(struct trace *q, struct fsal_object *o, int64_t now_ns)
{
	struct pending *p = o->pending;

	if (p)
		return p;
	if (q->pending_count == PENDING_MAX)
		pending_flush(q, list_first(&q->pending, struct pending, link));
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->object = o;
	p->due_ns = now_ns + o->at->o.coalesce_ns;
	o->pending = p;
	if (q->pending_count++ == 0)
		waitq_wake_one(&q->wake);
	list_push_back(&q->pending, &p->link);
	return p;
}

static const struct decision undecided = {.reason = {"not decided", 11}};
static const struct decision nobody = {.allowed = true, .policy_id = {"open", 4}};

static const struct decision *decision_of(const struct event *e)
{
	const struct fsal_object *o = e->object;
	const struct verdict *v = &o->verdict;
	enum fsal_right right = e->writes ? RIGHT_WRITE : RIGHT_READ;

	if (e->result == FSAL_DENIED)
		return &o->at->volume->layer->denial;
	if (o->at->o.open)
		return &nobody;
	if (v->epoch == o->at->epoch && (v->allowed & (1 << right)))
		return v->decision[right];
	return &undecided;
}

/* Only what succeeded, under the origin of the attachment, is summed up. */
static bool summed_up(
	struct trace *q, const struct fsal_call *c, const struct event *e, int64_t now_ns)
{
	struct fsal_object *o = e->object;

	if (e->kind == EVENT_ALONE || e->result != 0 || !o->at->o.coalesce_ns || c->call_id.n)
		return false;
	struct pending *p = pending_of(q, o, now_ns);
	if (!p)
		return false;
	struct slot *s = &p->slots[e->kind - 1];
	if (s->count++ == 0) {
		s->began_ns = rt_wall_ns();
		s->offset = e->offset;
		s->decision = decision_of(e);
		s->operation = e->operation;
	}
	s->bytes += e->bytes;
	s->offset = MIN(s->offset, e->offset);
	if (now_ns - e->began_ns > s->latency_ns)
		s->latency_ns = now_ns - e->began_ns;
	return true;
}

void trace_event(struct fsal_call *c, const struct event *e)
{
	struct fsal_attachment *at = e->object->at;
	struct trace *q = at->volume->layer->records;

	if (!at->o.observer || e->result == FSAL_WOULD_PARK)
		return;
	int64_t now_ns = rt_now_ns();
	if (summed_up(q, c, e, now_ns))
		return;
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES + 300);
	bool denied = e->result == FSAL_DENIED;
	if (!may_tell(at, denied, now_ns)) {
		q->dropped++;
		at->untold++;
		return;
	}
	struct fsal_record r = {
		.operation = denied            ? "FilesystemPolicyViolation"
			: e->result == -EDQUOT ? "QuotaExceeded"
					       : e->operation,
		.path = path_of(e->object, e->name, &path),
		.call_id = c->call_id.n ? c->call_id : span_cstr(at->call_id),
		.iteration = at->iteration,
		.writes = e->writes,
		.offset = e->offset,
		.bytes = e->bytes,
		.count = 1,
		.latency_ns = now_ns - e->began_ns,
		.result = denied        ? -EACCES
			: e->result > 0 ? -EINVAL
					: e->result,
	};
	r.began_ns = rt_wall_ns() - r.latency_ns;
	bool known = e->decision && e->rules_changes == at->rules_changes;
	queue(q, at, &r, known ? e->decision : decision_of(e));
}

void trace_flush(struct fsal_object *o)
{
	if (o->pending)
		pending_flush(o->at->volume->layer->records, o->pending);
}

void trace_flush_all(struct fsal_attachment *at)
{
	struct trace *q = at->volume->layer->records;

	list_for_each_safe (l, &q->pending) {
		struct pending *p = list_entry(l, struct pending, link);
		if (p->object->at == at)
			pending_flush(q, p);
	}
}

/* ---- to observers ---- */

static void hand_over(struct trace *q)
{
	for (struct list *l; (l = list_pop_front(&q->queue));) {
		struct entry *e = list_entry(l, struct entry, link);
		e->at->o.observer(e->at->o.observer_ctx, &e->record);
		q->written++;
		q->bytes -= e->bytes;
		attachment_unref(e->at);
		free(e);
	}
}

static void run(void *arg)
{
	struct trace *q = arg;

	fiber_shield_begin(); /* what is queued is handed over, whoever is in a hurry */
	for (;;) {
		hand_over(q);
		int64_t now_ns = rt_now_ns(), next_ns = DEADLINE_NONE;
		while (!list_empty(&q->pending)) {
			struct pending *p = list_first(&q->pending, struct pending, link);
			if (!q->stopping && p->due_ns > now_ns) {
				next_ns = p->due_ns;
				break;
			}
			pending_flush(q, p);
		}
		if (!list_empty(&q->queue))
			continue;
		if (q->stopping)
			break;
		(void)!waitq_wait(&q->wake, next_ns);
	}
	fiber_shield_end();
}

struct trace *trace_start(struct fsal *f, size_t bytes)
{
	struct trace *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->layer = f;
	q->bytes_max = bytes;
	group_init(&q->group);
	waitq_init(&q->wake);
	list_init(&q->queue);
	list_init(&q->pending);
	if (group_spawn(&q->group, "file records", FIBER_LARGE, run, q) == 0)
		return q;
	free(q);
	return NULL;
}

void trace_stop(struct trace *q)
{
	if (!q)
		return;
	q->stopping = true;
	waitq_wake_all(&q->wake);
	group_close(&q->group);
	free(q);
}

void trace_stats(const struct trace *q, uint64_t *ret_written, uint64_t *ret_dropped)
{
	*ret_written = q->written;
	*ret_dropped = q->dropped;
}
