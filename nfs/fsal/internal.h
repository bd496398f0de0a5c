/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of nfs/fsal: what the nouns are made of, and the steps that operations share. */
#pragma once

#include "nfs/fsal/backend.h"

enum { DECISIONS_MAX = 1024 }; /* different ones of an attachment's rules that are kept */

enum fsal_right { RIGHT_READ, RIGHT_WRITE, RIGHT_COUNT };

/* What policy says of an object; good for one epoch of its attachment. */
struct verdict {
	uint64_t epoch;
	uint8_t known; /* bit per enum fsal_right */
	uint8_t allowed;
	const struct decision *decision[RIGHT_COUNT]; /* of those that are allowed */
};

struct pending; /* of trace.c: reads or writes of an object that are not recorded yet */

enum { NAME_ROOM = 32 }; /* shorter names stand in the object */

/* What a GETATTR of an object that was not used for long touches stands first. */
struct fsal_object {
	struct fsal_node node; /* first: backends know no more */
	struct fsal_attachment *at;
	struct fsal_object *by_handle; /* the next one in its bucket */
	uint32_t refs; /* holders, and children */
	uint32_t touched; /* when last used, and when put into the list, in insertions */
	uint32_t queued;
	bool gone; /* deleted, or its attachment is: in no table any more */
	bool counted; /* counted_bytes is what the volume's usage holds for it */
	uint8_t handle_bytes;
	uint8_t handle[FSAL_HANDLE_BYTES];
	struct verdict verdict;
	_Alignas(16) char state[FSAL_NODE_BYTES];
	struct fsal_object *by_file; /* likewise */
	struct list lru; /* in the layer's list, unless it was found held when one had to go */
	struct list own; /* in its attachment's */
	uint64_t counted_bytes;
	struct pending *pending;
	char short_name[NAME_ROOM];
};

struct table {
	struct fsal_object **buckets;
	size_t mask;
};

struct fsal {
	uint8_t key[32]; /* [0..16) of MACs, [16..32) of tags */
	struct table by_handle;
	struct table by_file;
	uint64_t *dead; /* ends of handles whose objects were deleted; the newest ones */
	struct pool pool; /* of objects */
	struct list lru; /* the least recently queued first */
	struct list attachments;
	size_t objects_max;
	uint32_t tick; /* insertions */
	uint64_t hits, misses;
	struct arena *scratch; /* of one decision */
	struct decision denial; /* the last one; its texts, cut if need be, are below */
	struct span denial_ids[8];
	char denial_text[2048];
	const struct decision *granted; /* the last of verdict_name; to be taken at once */
	struct trace *records;
};

struct fsal_volume {
	struct fsal *layer;
	const struct fsal_backend *backend;
	void *state;
	char *id;
	uint64_t fsid;
	int refs; /* of its owner and its attachments */
	struct fsal_quota quota;
	struct fsal_usage used;
	uint64_t reserved_bytes; /* of writes that are under way */
};

struct fsal_attachment {
	struct fsal_volume *volume;
	struct list link;
	int refs; /* of its owner, its objects, and records that wait */
	bool detached;
	struct arena *arena; /* of the texts of its options */
	struct fsal_attach_options o;
	uint8_t tag[8]; /* of its handles */
	struct list objects;
	struct fsal_object *root;
	uint64_t epoch; /* of verdicts; moves with the rules and with directories' names */
	uint64_t rules_changes; /* decisions that are interned live until it moves */
	struct arena *decisions; /* of verdicts of this epoch's rules */
	struct map interned; /* policy ids, joined, to struct decision */
	int64_t changed_ns; /* of the rules: the least change time that is shown; 0: never */
	uint32_t iteration;
	char *call_id; /* may be NULL */
	struct meter {
		double tokens;
		int64_t filled_ns; /* 0: full */
	} told, denied; /* trace.c */
	uint64_t untold; /* records beyond, since the last one */
};

/* ---- layer.c ---- */

void attachment_unref(struct fsal_attachment *at);

/* ---- table.c ---- */

int layer_tables_init(struct fsal *f);
void layer_tables_fini(struct fsal *f);
/* Signed: what a handle of this attachment and id looks like. */
void handle_make(const struct fsal_attachment *at, struct span id, uint8_t ret[FSAL_HANDLE_BYTES],
	uint8_t *ret_n);
/* The attachment and id of a handle that carries our MAC. -EBADMSG, -ESTALE. */
int handle_check(
	struct fsal *f, struct span handle, struct fsal_attachment **ret, struct span *ret_id);
struct fsal_object *object_by_handle(struct fsal *f, struct span handle);
struct fsal_object *object_by_file(struct fsal_attachment *at, const struct fsal_attr *attr);
/* The one that was last seen as dir/name, if the number is still its own; NULL. */
struct fsal_object *object_by_place(struct fsal_object *dir, struct span name, uint64_t file_id);
/* The next object of other attachments of the same volume that is the same file. NULL: first. */
struct fsal_object *object_peer(const struct fsal_object *o, struct fsal_object *after);
/* A new object, in both tables. NULL if out of memory. */
struct fsal_object *object_insert(struct fsal_attachment *at, struct fsal_object *parent,
	struct span name, const struct fsal_id *id, const struct fsal_attr *attr);
/* Notes where an object was seen. -ENOMEM; -ESTALE if that is below itself. */
int object_place(struct fsal_object *o, struct fsal_object *parent, struct span name);
void object_touch(struct fsal_object *o);
void object_gone(struct fsal_object *o); /* out of the tables; freed when nobody holds it */
/* And it will never come back: its handle needs not be looked for. */
void object_dead(struct fsal_object *o);
bool handle_dead(const struct fsal *f, struct span handle);
void objects_detach(struct fsal_attachment *at);

/* ---- find.c ---- */

/* The object under a name, from the cache or by asking for its identity. */
AWAITS int object_of_name(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_object **ret, struct fsal_attr *ret_attr);
/* Finds out where an object that is not where it was has gone. -ESTALE: nowhere. */
AWAITS int object_relocate(struct fsal_call *c, struct fsal_object *o);
/* Attributes as this attachment shows them, and what every operation begins with: is the object
 * still there? */
AWAITS int object_attr(struct fsal_call *c, struct fsal_object *o, struct fsal_attr *ret);
void attr_show(const struct fsal_attachment *at, struct fsal_attr *attr);

/* ---- verdict.c ---- */

/* 0, or FSAL_DENIED with *c->decision; -EROFS for writes on a read-only attachment. */
int verdict_object(struct fsal_call *c, struct fsal_object *o, enum fsal_right right);
int verdict_name(
	struct fsal_call *c, struct fsal_object *dir, struct span name, enum fsal_right right);
/* Is the object one that may be seen at all: readable, writable, or a way to others? */
/* Notes why, for the record that follows. */
void denial_keep(struct fsal *f, const struct decision *d);
int verdict_visible(struct fsal_call *c, struct fsal_object *o);
/* Whether a right would be had under that path. */
bool verdict_of_path(struct fsal_attachment *at, struct span path, enum fsal_right right);
bool verdict_lists(struct fsal_object *dir, struct span name, struct fsal_object *o);
/* What is a rename or link of `o` to another name must give no right that the old one had not. */
/* (moves.c) */
AWAITS int verdict_moves(
	struct fsal_call *c, struct fsal_object *o, struct fsal_object *dir, struct span name);
void verdicts_forget(struct fsal_attachment *at, bool rules_too);

/* ---- perm.c: POSIX ---- */

enum { PERM_READ = 4, PERM_WRITE = 2, PERM_EXEC = 1 };

/* The bits of `wanted` that the mode grants. `cred` NULL is uid 0. */
uint32_t perm_grants(const struct fsal_cred *cred, const struct fsal_attr *a, uint32_t wanted);
bool perm_in_group(const struct fsal_cred *cred, uint32_t gid);
bool perm_is_root(const struct fsal_cred *cred);
bool perm_owns(const struct fsal_cred *cred, const struct fsal_attr *a);
/* May the entry `victim` of `dir` be taken away? 0, -EACCES, -EPERM (sticky). */
int perm_unlinks(
	const struct fsal_cred *cred, const struct fsal_attr *dir, const struct fsal_attr *victim);
/* May these changes be made? They are completed by what goes with them: set-id bits that fall. */
int perm_setattr(const struct fsal_cred *cred, const struct fsal_attr *a, struct fsal_sattr *s);

/* ---- the steps of an operation: step.c ---- */

struct fsal_io io_of(const struct fsal_call *c, const struct fsal_object *o);
bool name_is_dots(struct span name); /* "." or ".." */
int name_check(struct span name); /* of something new or old: -EINVAL, -ENAMETOOLONG, -EACCES */
bool is_posix(const struct fsal_object *o);

/* Mode bits that nothing gets on a squash export: everything there belongs to the server's user,
 * and a client that is not trusted must not make a program that runs as it. */
enum { SQUASH_NEVER = S_ISUID | S_ISGID };
/* Room for n more bytes or one more inode? -EDQUOT. */
int quota_room(struct fsal_volume *v, uint64_t bytes, uint64_t inodes);
void quota_count(struct fsal_object *o, const struct fsal_attr *attr);
void quota_gone(struct fsal_object *o, const struct fsal_attr *before);
void wcc_before(struct fsal_wcc *w, const struct fsal_attr *a);
AWAITS void wcc_after(struct fsal_call *c, struct fsal_object *o, struct fsal_wcc *w);

/* ---- trace.c ---- */

struct trace *trace_start(struct fsal *f, size_t bytes); /* NULL if it cannot */
AWAITS void trace_stop(struct trace *r);
void trace_stats(const struct trace *r, uint64_t *ret_written, uint64_t *ret_dropped);

/* When an operation begins; 0 if nobody will be told. */
int64_t trace_begin(const struct fsal_object *o);

enum event_kind { EVENT_ALONE, EVENT_LOOK, EVENT_READ, EVENT_WRITE }; /* the latter coalesce */

struct event {
	enum event_kind kind;
	const char *operation;
	struct fsal_object *object; /* whose path it is, or the directory of `name` */
	struct span name; /* empty: the object itself */
	bool writes;
	uint64_t offset;
	uint64_t bytes;
	int64_t began_ns; /* of trace_begin */
	const struct decision *decision; /* NULL: the object's */
	uint64_t rules_changes; /* as of that decision */
	int result; /* FSAL_DENIED too; FSAL_WOULD_PARK is not recorded */
};
void trace_event(struct fsal_call *c, const struct event *e);
void trace_flush_all(struct fsal_attachment *at); /* what is pending of its objects */
void trace_end(struct fsal_attachment *at); /* says what was not told one by one */
void trace_flush(struct fsal_object *o); /* what is pending of it */
