/* SPDX-License-Identifier: AGPL-3.0-only */
/* A file layer over one volume, and short words for its operations. For bodies in fibers. */
#pragma once

#include "nfs/backend/backend.h"
#include "tests/unit/daemon/rt/in_fiber.h"

enum fixture_kind { ON_DISK, IN_MEMORY, SLOW, FIXTURE_KINDS };

enum { SEEN_MAX = 64 };

struct seen { /* a record that came */
	char operation[40];
	char path[256];
	char call[32];
	uint64_t offset, bytes, count, lost_before;
	uint32_t iteration;
	int result;
	bool allowed;
	char policy[64];
	char question[512]; /* as decision records keep it; empty: none was asked */
};

struct fixture {
	enum fixture_kind kind;
	char folder[64];
	int folder_fd; /* ON_DISK: of the volume's root */
	struct offload *offload;
	struct fsal *fsal;
	struct fsal_volume *volume;
	struct fsal_attachment *at;
	struct fsal_attach_options options;
	struct fsal_options layer;
	struct arena *arena;
	struct fsal_call call;
	struct decision decision;
	size_t descriptors_max;
	bool objects; /* not ON_DISK: a store of whole objects */
	struct seen seen[SEEN_MAX]; /* the first ones */
	uint64_t lost; /* records that those that came count as lost */
	size_t seen_count;
};

/* Fields that are set already are kept: kind, options, layer, descriptors_max. */
void fixture_begin(struct fixture *f);
void fixture_end(struct fixture *f);
void fixture_attach(struct fixture *f); /* by f->options */
void fixture_restart(struct fixture *f); /* everything anew, as after a kill */
void fixture_observe(void *f, const struct fsal_record *r);
/* Waits until the record queue is empty. */
void fixture_settle(struct fixture *f);
const struct seen *fixture_saw(const struct fixture *f, const char *operation, const char *path);

/* Takes the powers from this thread that a process which is not root lacks, or gives them back. */
bool fixture_powers(uint32_t effective[2], bool take);

/* A rule set of absolute folders; NULL ends each list. */
struct rule_set *rules_of(const char *const *read, const char *const *write);

struct fsal_object *root_of(struct fixture *f);
/* By path, held; NULL with the outcome expected. */
struct fsal_object *walk_to(struct fixture *f, const char *path, int want);
int make_file(struct fixture *f, struct fsal_object *dir, const char *name, uint32_t mode,
	struct fsal_object **ret); /* held; ret may be NULL */
int make_dir(
	struct fixture *f, struct fsal_object *dir, const char *name, struct fsal_object **ret);
int write_text(struct fixture *f, struct fsal_object *o, uint64_t offset, const char *text);
/* True if the whole file is `text`. */
bool has_text(struct fixture *f, struct fsal_object *o, const char *text);
int look_up(struct fixture *f, struct fsal_object *dir, const char *name,
	struct fsal_object **ret); /* held */
int unlink_name(struct fixture *f, struct fsal_object *dir, const char *name);
int rename_to(struct fixture *f, struct fsal_object *from, const char *a, struct fsal_object *to,
	const char *b);
struct fsal_attr attr_of(struct fixture *f, struct fsal_object *o);
