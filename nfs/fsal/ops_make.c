/* SPDX-License-Identifier: AGPL-3.0-only */
/* Operations that give a directory a new entry: create, mkdir, symlink, mknod, link, replace. */
#include "nfs/fsal/internal.h"

struct making {
	struct fsal_call *call;
	struct fsal_object *dir; /* held */
	struct span name;
	struct fsal_attr dir_attr;
	const struct decision *granted;
	uint64_t epoch, rules_changes; /* of that decision */
	int64_t began_ns;
	const char *operation;
};

/* What comes before: may this caller add this name to this directory? */
static AWAITS int begin(struct making *m, struct fsal_wcc *dir_wcc)
{
	struct fsal_object *dir = m->dir;
	int r = dir->node.type == S_IFDIR ? object_attr(m->call, dir, &m->dir_attr) : -ENOTDIR;

	if (r == 0) {
		wcc_before(dir_wcc, &m->dir_attr);
		r = name_check(m->name);
	}
	if (r == 0 && name_is_dots(m->name))
		r = -EEXIST;
	if (r == 0) {
		r = verdict_name(m->call, dir, m->name, RIGHT_WRITE);
		m->granted = r == FSAL_DENIED ? NULL : dir->at->volume->layer->granted;
		m->epoch = dir->at->epoch;
		m->rules_changes = dir->at->rules_changes;
	}
	return r;
}

static bool may_add(const struct making *m)
{
	uint32_t both = PERM_WRITE | PERM_EXEC;
	return !is_posix(m->dir) || perm_grants(m->call->cred, &m->dir_attr, both) == both;
}

static struct making making_of(
	struct fsal_call *c, struct fsal_object *dir, struct span name, const char *operation)
{
	return (struct making){.call = c,
		.dir = fsal_ref(dir),
		.name = name,
		.began_ns = trace_begin(dir),
		.operation = operation};
}

static AWAITS int end(struct making *m, struct fsal_wcc *dir_wcc, uint64_t bytes, int r)
{
	if (r != FSAL_WOULD_PARK && m->dir->node.type == S_IFDIR)
		wcc_after(m->call, m->dir, dir_wcc);
	if (m->began_ns)
		trace_event(m->call,
			&(struct event){.operation = m->operation,
				.object = m->dir,
				.name = m->name,
				.writes = true,
				.bytes = bytes,
				.began_ns = m->began_ns,
				.decision = r == FSAL_DENIED ? NULL : m->granted,
				.rules_changes = m->rules_changes,
				.result = r});
	fsal_unref(m->dir);
	return r;
}

/* Who owns the new object, and the bits that follow from that. */
static void own(const struct making *m, struct fsal_make *make)
{
	const struct fsal_cred *cred = m->call->cred;

	if (!is_posix(m->dir)) {
		make->mode &= ~(uint32_t)SQUASH_NEVER;
		return;
	}
	make->set_owner = true;
	make->uid = cred ? cred->uid : 0;
	make->gid = cred ? cred->gid : 0;
	if (m->dir_attr.mode & S_ISGID) {
		make->gid = m->dir_attr.gid;
		if ((make->mode & S_IFMT) == S_IFDIR)
			make->mode |= S_ISGID;
	}
	if ((make->mode & S_IFMT) != S_IFDIR && !perm_is_root(cred) &&
		!perm_in_group(cred, make->gid))
		make->mode &= ~(uint32_t)S_ISGID;
}

/* What the client wants besides the mode. */
static int rest_of(const struct making *m, const struct fsal_make *make, const struct fsal_sattr *s,
	struct fsal_sattr *ret)
{
	struct fsal_attr faux = {.mode = make->mode, .uid = make->uid, .gid = make->gid};

	*ret = *s;
	ret->set_mode = false;
	if ((make->mode & S_IFMT) != S_IFREG || s->size_bytes == 0)
		ret->set_size = false;
	if (is_posix(m->dir))
		return perm_setattr(m->call->cred, &faux, ret);
	if ((s->set_uid && s->uid != m->dir->at->o.uid) ||
		(s->set_gid && s->gid != m->dir->at->o.gid))
		return -EPERM;
	ret->set_uid = ret->set_gid = false;
	return 0;
}

static bool changes_anything(const struct fsal_sattr *s)
{
	return s->set_mode || s->set_uid || s->set_gid || s->set_size ||
		s->atime_how != FSAL_TIME_KEEP || s->mtime_how != FSAL_TIME_KEEP;
}

/* Puts what the backend has made into the tables. */
static int keep(struct making *m, const struct fsal_new *n, struct fsal_made *ret)
{
	struct fsal_volume *v = m->dir->at->volume;
	struct fsal_object *o = NULL;

	if (!m->dir->at->detached && !m->dir->gone)
		o = object_insert(m->dir->at, m->dir, m->name, &n->id, &n->attr);
	if (v->backend->adopt)
		v->backend->adopt(v->state, o ? &o->node : NULL, n->carry);
	if (!o)
		return m->dir->gone ? -ESTALE : -ENOMEM;
	/* Whoever could make it under that name may write it. */
	if (!o->at->o.open && m->granted && m->epoch == o->at->epoch) {
		o->verdict = (struct verdict){
			.epoch = m->epoch, .known = 1 << RIGHT_WRITE, .allowed = 1 << RIGHT_WRITE};
		o->verdict.decision[RIGHT_WRITE] = m->granted;
	}
	o->counted = true; /* with nothing, so that all it takes is counted */
	v->used.inodes++;
	quota_count(o, &n->attr);
	ret->object = o;
	ret->attr = n->attr;
	attr_show(o->at, &ret->attr);
	return 0;
}

static AWAITS int make(
	struct making *m, struct fsal_make *what, const struct fsal_sattr *s, struct fsal_made *ret)
{
	struct fsal_volume *v = m->dir->at->volume;
	struct fsal_io io = io_of(m->call, m->dir);
	struct fsal_sattr rest;
	struct fsal_new new;
	int r;

	if (!may_add(m))
		return -EACCES;
	own(m, what);
	r = rest_of(m, what, s, &rest);
	if (r == 0)
		r = quota_room(v, what->target.n > 60 ? what->target.n : 0, 1);
	if (r == 0)
		r = v->backend->make
			? v->backend->make(v->state, &io, &m->dir->node, m->name, what, &new)
			: -EOPNOTSUPP;
	if (r == -ESTALE) {
		r = object_relocate(m->call, m->dir);
		if (r == 0)
			r = v->backend->make(v->state, &io, &m->dir->node, m->name, what, &new);
	}
	if (r == 0)
		r = keep(m, &new, ret);
	if (r != 0 || !changes_anything(&rest))
		return r;
	fsal_ref(ret->object);
	r = v->backend->setattr ? v->backend->setattr(v->state, &io, &ret->object->node, &rest)
				: -EOPNOTSUPP;
	if (r == 0)
		r = object_attr(m->call, ret->object, &ret->attr);
	fsal_unref(ret->object);
	return r;
}

static uint32_t mode_or(const struct fsal_sattr *s, uint32_t mode)
{
	return s->set_mode ? s->mode & 07777 : mode;
}

/* ---- files ---- */

/* There is something of that name: what of it? */
static AWAITS int take_existing(struct making *m, enum fsal_create_how how,
	const struct fsal_sattr *s, const uint8_t *verifier, struct fsal_made *ret)
{
	struct fsal_volume *v = m->dir->at->volume;
	struct fsal_wcc ignored;
	int r = is_posix(m->dir) && !perm_grants(m->call->cred, &m->dir_attr, PERM_EXEC) ? -EACCES
											 : 0;

	if (r == 0)
		r = object_of_name(m->call, m->dir, m->name, &ret->object, &ret->attr);
	if (r != 0)
		return r;
	if (how == FSAL_GUARDED || ret->object->node.type != S_IFREG)
		return -EEXIST;
	if (how == FSAL_EXCLUSIVE) {
		bool mine =
			v->backend->made_by && v->backend->made_by(v->state, &ret->attr, verifier);
		attr_show(m->dir->at, &ret->attr);
		return mine ? 0 : -EEXIST;
	}
	attr_show(m->dir->at, &ret->attr);
	if (!s->set_size)
		return verdict_visible(m->call, ret->object);
	struct fsal_sattr size = {.set_size = true, .size_bytes = s->size_bytes};
	struct fsal_object *o = fsal_ref(ret->object);
	if (is_posix(o) && !perm_grants(m->call->cred, &ret->attr, PERM_WRITE))
		r = -EACCES;
	if (r == 0)
		r = fsal_setattr(m->call, o, &size, NULL, &ignored);
	if (r == 0)
		r = object_attr(m->call, o, &ret->attr);
	fsal_unref(o);
	return r;
}

int fsal_create(struct fsal_call *c, struct fsal_object *dir, struct span name,
	enum fsal_create_how how, const struct fsal_sattr *s, const uint8_t *verifier,
	struct fsal_made *ret)
{
	static const struct fsal_sattr nothing;
	struct making m = making_of(c, dir, name, "FileCreated");
	struct fsal_make what = {.mode = S_IFREG, .verifier = verifier};

	if (how == FSAL_EXCLUSIVE)
		s = &nothing;
	else
		what.verifier = NULL;
	what.mode |= mode_or(s, 0644);
	*ret = (struct fsal_made){0};
	int r = begin(&m, &ret->dir);
	if (r == 0) {
		r = make(&m, &what, s, ret);
		/* A directory that may not be written to still has the file. */
		if (r == -EEXIST || (r == -EACCES && how == FSAL_UNCHECKED)) {
			int found = take_existing(&m, how, s, verifier, ret);
			r = r == -EACCES && found == -ENOENT ? r : found;
		}
	}
	if (r != 0)
		ret->object = NULL;
	struct fsal_object *made = ret->object;
	if (made)
		fsal_ref(made);
	r = end(&m, &ret->dir, 0, r);
	fsal_unref(made);
	return r;
}

/* ---- the others ---- */

static AWAITS int make_other(
	struct making *m, struct fsal_make *what, const struct fsal_sattr *s, struct fsal_made *ret)
{
	*ret = (struct fsal_made){0};
	int r = begin(m, &ret->dir);
	if (r == 0)
		r = make(m, what, s, ret);
	if (r != 0)
		ret->object = NULL;
	struct fsal_object *made = ret->object;
	if (made)
		fsal_ref(made);
	r = end(m, &ret->dir, 0, r);
	fsal_unref(made);
	return r;
}

int fsal_mkdir(struct fsal_call *c, struct fsal_object *dir, struct span name,
	const struct fsal_sattr *s, struct fsal_made *ret)
{
	struct making m = making_of(c, dir, name, "DirectoryCreated");
	struct fsal_make what = {.mode = S_IFDIR | mode_or(s, 0755)};
	return make_other(&m, &what, s, ret);
}

int fsal_symlink(struct fsal_call *c, struct fsal_object *dir, struct span name, struct span target,
	const struct fsal_sattr *s, struct fsal_made *ret)
{
	struct making m = making_of(c, dir, name, "FileCreated");
	struct fsal_make what = {.mode = S_IFLNK | 0777, .target = target};

	if (target.n == 0 || target.n >= LIMIT_PATH_BYTES || memchr(target.p, '\0', target.n)) {
		*ret = (struct fsal_made){0};
		return end(
			&m, &ret->dir, 0, target.n >= LIMIT_PATH_BYTES ? -ENAMETOOLONG : -EINVAL);
	}
	return make_other(&m, &what, s, ret);
}

int fsal_mknod(struct fsal_call *c, struct fsal_object *dir, struct span name, uint32_t type,
	uint32_t rdev_major, uint32_t rdev_minor, const struct fsal_sattr *s, struct fsal_made *ret)
{
	struct making m = making_of(c, dir, name, "FileCreated");
	struct fsal_make what = {.mode = type | mode_or(s, 0644),
		.rdev_major = rdev_major,
		.rdev_minor = rdev_minor};
	bool device = type == S_IFCHR || type == S_IFBLK;
	int r = 0;

	if (device && (!is_posix(dir) || !perm_is_root(c->cred)))
		r = -EPERM;
	else if (!device && type != S_IFIFO && type != S_IFSOCK)
		r = -EINVAL;
	if (r == 0)
		return make_other(&m, &what, s, ret);
	*ret = (struct fsal_made){0};
	return end(&m, &ret->dir, 0, r);
}

int fsal_link(struct fsal_call *c, struct fsal_object *o, struct fsal_object *dir, struct span name,
	struct fsal_post *ret, struct fsal_wcc *ret_dir)
{
	struct fsal_volume *v = dir->at->volume;
	struct fsal_io io = io_of(c, dir);
	struct making m = making_of(c, dir, name, "FileLinked");

	fsal_ref(o);
	*ret = (struct fsal_post){0};
	*ret_dir = (struct fsal_wcc){0};
	int r = begin(&m, ret_dir);
	if (r == 0 && o->at != dir->at)
		r = -EXDEV;
	if (r == 0 && o->node.type == S_IFDIR)
		r = -EPERM;
	if (r == 0)
		r = verdict_moves(c, o, dir, name);
	if (r == 0 && !may_add(&m))
		r = -EACCES;
	if (r == 0) /* and finds out where it is */
		r = object_attr(c, o, &ret->attr);
	if (r == 0)
		r = v->backend->link ? v->backend->link(v->state, &io, &o->node, &dir->node, name)
				     : -EOPNOTSUPP;
	if (r != FSAL_WOULD_PARK)
		ret->present = object_attr(c, o, &ret->attr) == 0;
	r = end(&m, ret_dir, 0, r);
	fsal_unref(o);
	return r;
}

int fsal_replace(
	struct fsal_call *c, struct fsal_object *dir, struct span name, struct span content)
{
	struct fsal_volume *v = dir->at->volume;
	struct fsal_io io = io_of(c, dir);
	struct making m = making_of(c, dir, name, "FileWritten");
	struct fsal_object *old = NULL;
	struct fsal_attr before = {.mode = S_IFREG | 0644};
	struct fsal_wcc wcc = {0};
	struct fsal_made made = {0};
	struct fsal_new new;

	int r = begin(&m, &wcc);
	if (r == 0) {
		r = object_of_name(c, dir, name, &old, &before);
		if (r == -ENOENT)
			r = 0;
		else if (r == 0 && old->node.type != S_IFREG)
			r = old->node.type == S_IFDIR       ? -EISDIR
				: old->node.type == S_IFLNK ? -ELOOP
							    : -EINVAL;
	}
	if (old)
		fsal_ref(old);
	if (r == 0)
		r = quota_room(v, content.n, old ? 0 : 1);
	const uint32_t mode =
		before.mode & (is_posix(dir) ? 07777 : 07777 & ~(uint32_t)SQUASH_NEVER);
	if (r == 0)
		r = v->backend->replace
			? v->backend->replace(v->state, &io, &dir->node, name, content, mode, &new)
			: -EOPNOTSUPP;
	if (r == 0 && old && before.nlink <= 1) {
		quota_gone(old, &before);
		object_dead(old);
	}
	if (r == 0)
		r = keep(&m, &new, &made);
	fsal_unref(old);
	return end(&m, &wcc, r == 0 ? content.n : 0, r);
}
