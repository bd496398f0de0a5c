/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What policy says of objects. A verdict is kept with the object under its attachment's epoch,
 * which moves when the rules do and when a directory gets another name: after the first access a
 * check is a comparison. A denial is decided anew each time, so that it can say why.
 *
 * Directories that may not be read can be passed through, since what is below may be allowed; they
 * are not listed. A name that may not be read does not appear in listings.
 *
 * A path that policy is asked about is text: bytes of names that are no UTF-8, or control
 * characters, are written as %XX.
 */
#include "nfs/fsal/internal.h"

static const struct decision open_to_all = {.allowed = true, .policy_id = {"open", 4}};
static const struct decision by_many = {.allowed = true, .policy_id = {"several", 7}};

/* ---- paths ---- */

static size_t path_bytes(const struct fsal_object *o)
{
	size_t n = 0;
	for (const struct fsal_node *at = &o->node; at->parent; at = at->parent)
		n += at->name.n + 1;
	return n;
}

/* Fills in from the end; `end` is behind the last byte. */
static void path_fill(const struct fsal_object *o, char *end)
{
	for (const struct fsal_node *at = &o->node; at->parent; at = at->parent) {
		end -= at->name.n;
		memcpy(end, at->name.p, at->name.n);
		*--end = '/';
	}
}

int fsal_path(const struct fsal_object *o, struct buf *b)
{
	size_t n = path_bytes(o);
	if (n == 0)
		return 0;
	if (n - 1 > LIMIT_PATH_BYTES)
		return -ENAMETOOLONG;
	size_t at = b->len;
	char *p = buf_reserve(b, n);
	if (!p)
		return -ENOMEM;
	path_fill(o, p + n);
	buf_commit(b, n);
	memmove(b->data + at, b->data + at + 1, n - 1); /* without its first slash */
	b->len--;
	return 0;
}

static struct span as_text(struct span path, struct arena *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(3 * (size_t)LIMIT_PATH_BYTES + 1024);
	bool plain = span_utf8_bad(path) < 0;

	for (size_t i = 0; plain && i < path.n; i++)
		plain = (unsigned char)path.p[i] >= 0x20 && path.p[i] != 0x7f;
	if (plain)
		return path;
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		if (c >= 0x20 && c < 0x7f)
			buf_putc(&b, path.p[i]);
		else
			buf_printf(&b, "%%%02X", c);
	}
	return buf_error(&b) < 0 ? (err_clear(), span_of(NULL, 0)) : arena_span(a, buf_view(&b));
}

/* The path as the agent sees it, in the layer's scratch; p NULL if it is too long. */
static struct span seen_path(const struct fsal_object *o, struct span name)
{
	struct arena *a = o->at->volume->layer->scratch;
	struct span mount = o->at->o.mount_path;
	size_t below = path_bytes(o), n;

	if (span_is(mount, "/"))
		mount = SPAN("");
	n = mount.n + below + (name.n ? name.n + 1 : 0);
	if (n > LIMIT_PATH_BYTES)
		return span_of(NULL, 0);
	char *p = arena_bytes(a, n + 1);
	if (!p)
		return span_of(NULL, 0);
	if (n == 0) {
		p[0] = '/';
		return span_of(p, 1);
	}
	if (mount.n)
		memcpy(p, mount.p, mount.n);
	path_fill(o, p + mount.n + below);
	if (name.n) {
		p[mount.n + below] = '/';
		memcpy(p + mount.n + below + 1, name.p, name.n);
	}
	return as_text(span_of(p, n), a);
}

/* ---- decisions ---- */

static const char *action_of(enum fsal_right right)
{
	return right == RIGHT_WRITE ? "fs:write" : "fs:read";
}

/* 0 or FSAL_DENIED, with the decision in the scratch; a question that cannot be put is denied. */
static int decide_path(
	struct fsal_attachment *at, struct span path, enum fsal_right right, struct decision *ret)
{
	struct decision_request q = {
		.execution_id = at->o.execution_id,
		.agent = at->o.agent,
		.tenant = at->o.tenant,
		.volume = span_cstr(at->volume->id),
		.action = span_cstr(action_of(right)),
		.paths = &path,
		.path_count = 1,
	};
	*ret = (struct decision){.code = DECISION_PATH_NOT_ALLOWED,
		.policy_id = SPAN("default"),
		.reason = SPAN("the path is too long to be decided about")};
	if (!path.p)
		return FSAL_DENIED;
	if (policy_decide(at->o.rules, NULL, &q, rt_now_ns(), at->volume->layer->scratch, ret) <
		0) {
		err_clear();
		*ret = (struct decision){.policy_id = SPAN("default"),
			.reason = SPAN("the question could not be decided")};
	}
	return ret->allowed ? 0 : FSAL_DENIED;
}

static int decide(
	struct fsal_object *o, struct span name, enum fsal_right right, struct decision *ret)
{
	arena_reset(o->at->volume->layer->scratch);
	return decide_path(o->at, seen_path(o, name), right, ret);
}

int fsal_record_request(const struct fsal_record *r, struct arena *a, struct decision_request *ret)
{
	struct span mount = span_is(r->mount_path, "/") ? SPAN("") : r->mount_path;
	struct span *path = arena_make(a, struct span);
	char *p = arena_bytes(a, mount.n + r->path.n + 2);

	if (!path || !p)
		return err_raise(-ENOMEM, "out of memory");
	if (mount.n)
		memcpy(p, mount.p, mount.n);
	p[mount.n] = '/';
	if (r->path.n)
		memcpy(p + mount.n + 1, r->path.p, r->path.n);
	bool root = r->path.n == 0 && mount.n;
	*path = as_text(span_of(p, mount.n + (root ? 0 : 1) + r->path.n), a);
	if (!path->p)
		return err_raise(-ENOMEM, "out of memory");
	*ret = (struct decision_request){
		.execution_id = r->execution_id,
		.agent = r->agent,
		.tenant = r->tenant,
		.volume = r->volume_id,
		.action = span_cstr(action_of(r->writes ? RIGHT_WRITE : RIGHT_READ)),
		.paths = path,
		.path_count = 1,
	};
	return 0;
}

static struct span copy_text(struct arena *a, struct span s)
{
	return s.n ? arena_span(a, s) : SPAN("");
}

static void decision_copy(struct arena *a, const struct decision *d, struct decision *ret)
{
	*ret = *d;
	ret->policy_id = copy_text(a, d->policy_id);
	ret->reason = copy_text(a, d->reason);
	ret->policy_set = copy_text(a, d->policy_set);
	struct span *ids =
		d->policy_count ? arena_make_array(a, struct span, d->policy_count) : NULL;
	for (size_t i = 0; ids && i < d->policy_count; i++)
		ids[i] = copy_text(a, d->policy_ids[i]);
	ret->policy_ids = ids;
	ret->policy_count = ids ? d->policy_count : 0;
}

/* One copy for all objects that the same policies allow. */
static const struct decision *intern(struct fsal_attachment *at, const struct decision *d)
{
	struct buf key CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);

	buf_span(&key, d->policy_id);
	for (size_t i = 0; i < d->policy_count; i++) {
		buf_putc(&key, '\0');
		buf_span(&key, d->policy_ids[i]);
	}
	if (key.error)
		return &by_many;
	struct decision *known = map_get(&at->interned, buf_view(&key));
	if (known)
		return known;
	struct span name = arena_span(at->decisions, buf_view(&key));
	struct decision *copy = arena_make(at->decisions, struct decision);
	if (!name.p || !copy || arena_left(at->decisions) < 4096)
		return &by_many;
	decision_copy(at->decisions, d, copy);
	return map_put(&at->interned, name, copy) == 0 ? copy : &by_many;
}

static struct span keep_text(struct fsal *f, size_t *used, struct span s)
{
	size_t n = MIN(s.n, sizeof(f->denial_text) - *used);
	char *p = f->denial_text + *used;

	if (n)
		memcpy(p, s.p, n);
	*used += n;
	return span_of(p, n);
}

void denial_keep(struct fsal *f, const struct decision *d)
{
	size_t used = 0, count = MIN(d->policy_count, ARRAY_LEN(f->denial_ids));

	f->denial = *d;
	f->denial.policy_set = keep_text(f, &used, d->policy_set);
	f->denial.policy_id = keep_text(f, &used, d->policy_id);
	f->denial.reason = keep_text(f, &used, d->reason);
	for (size_t i = 0; i < count; i++)
		f->denial_ids[i] = keep_text(f, &used, d->policy_ids[i]);
	f->denial.policy_ids = count ? f->denial_ids : NULL;
	f->denial.policy_count = count;
}

static void tell(struct fsal_call *c, const struct decision *d)
{
	if (!c->decision)
		return;
	*c->decision = *d;
	if (c->arena)
		decision_copy(c->arena, d, c->decision);
}

static int denied(struct fsal_call *c, const struct decision *d)
{
	tell(c, d);
	return FSAL_DENIED;
}

static int allowed(
	struct fsal_call *c, struct fsal_object *o, enum fsal_right right, const struct decision *d)
{
	tell(c, d);
	return right == RIGHT_WRITE && o->at->o.read_only ? -EROFS : 0;
}

/* The decision, if the right is there; else NULL, and the layer's denial says why. */
static const struct decision *kept_verdict(struct fsal_object *o, enum fsal_right right)
{
	struct fsal_attachment *at = o->at;
	struct verdict *v = &o->verdict;
	uint8_t bit = (uint8_t)(1 << right);
	struct decision d;

	if (at->o.open)
		return &open_to_all;
	if (v->epoch != at->epoch)
		*v = (struct verdict){.epoch = at->epoch};
	if (v->allowed & bit)
		return v->decision[right];
	v->known |= bit;
	if (decide(o, SPAN(""), right, &d) != 0) {
		denial_keep(at->volume->layer, &d);
		return NULL;
	}
	v->allowed |= bit;
	v->decision[right] = intern(at, &d);
	return v->decision[right];
}

int verdict_object(struct fsal_call *c, struct fsal_object *o, enum fsal_right right)
{
	const struct decision *d = kept_verdict(o, right);
	return d ? allowed(c, o, right, d) : denied(c, &o->at->volume->layer->denial);
}

int verdict_name(
	struct fsal_call *c, struct fsal_object *dir, struct span name, enum fsal_right right)
{
	struct fsal *f = dir->at->volume->layer;
	struct decision d;

	f->granted = &open_to_all;
	if (dir->at->o.open)
		return allowed(c, dir, right, f->granted);
	if (decide(dir, name, right, &d) != 0) {
		denial_keep(f, &d);
		return denied(c, &d);
	}
	f->granted = intern(dir->at, &d);
	return allowed(c, dir, right, f->granted);
}

int verdict_visible(struct fsal_call *c, struct fsal_object *o)
{
	const struct decision *d;

	if (o->node.type == S_IFDIR)
		return 0;
	d = kept_verdict(o, RIGHT_READ);
	if (!d)
		d = kept_verdict(o, RIGHT_WRITE);
	return d ? allowed(c, o, RIGHT_READ, d) : verdict_object(c, o, RIGHT_READ);
}

bool verdict_of_path(struct fsal_attachment *at, struct span path, enum fsal_right right)
{
	struct arena *a = at->volume->layer->scratch;
	struct span mount = at->o.mount_path;
	struct decision d;

	arena_reset(a);
	if (span_is(mount, "/"))
		mount = SPAN("");
	if (mount.n + path.n + 1 > LIMIT_PATH_BYTES)
		return false;
	char *p = arena_bytes(a, mount.n + path.n + 1);
	if (!p)
		return false;
	if (mount.n)
		memcpy(p, mount.p, mount.n);
	p[mount.n] = '/';
	if (path.n)
		memcpy(p + mount.n + 1, path.p, path.n);
	struct span seen = as_text(span_of(p, mount.n + path.n + 1), a);
	return decide_path(at, seen, right, &d) == 0;
}

bool verdict_lists(struct fsal_object *dir, struct span name, struct fsal_object *o)
{
	struct decision d;
	struct verdict *v = o ? &o->verdict : NULL;
	uint8_t bit = 1 << RIGHT_READ;

	if (dir->at->o.open)
		return true;
	if (v && v->epoch == dir->at->epoch && (v->known & bit))
		return v->allowed & bit;
	bool lists = decide(dir, name, RIGHT_READ, &d) == 0;
	if (v) {
		if (v->epoch != dir->at->epoch)
			*v = (struct verdict){.epoch = dir->at->epoch};
		v->known |= bit;
		if (lists) {
			v->allowed |= bit;
			v->decision[RIGHT_READ] = intern(dir->at, &d);
		}
	}
	return lists;
}

void verdicts_forget(struct fsal_attachment *at, bool rules_too)
{
	at->epoch++;
	if (!rules_too)
		return;
	at->rules_changes++;
	map_fini(&at->interned);
	map_init(&at->interned, DECISIONS_MAX);
	arena_reset(at->decisions);
}
