/* SPDX-License-Identifier: AGPL-3.0-only */
/* Runs the probes and compares what they found with what is required. */
#include "daemon/doctor/probe.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const levels[] = {
	[DOCTOR_UNAVAILABLE] = "unavailable",
	[DOCTOR_NOT_COVERED] = "not_covered",
	[DOCTOR_DETECTED] = "detected",
	[DOCTOR_PREVENTED] = "prevented",
};

const char *doctor_level_name(enum doctor_level l)
{
	return levels[l];
}

int doctor_level_parse(const char *name, enum doctor_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(levels[i], name) == 0) {
			*ret = (enum doctor_level)i;
			return 0;
		}
	return -EINVAL;
}

void doctor_run(const struct doctor_options *o, struct doctor_report *ret)
{
	struct utsname u;

	CHECK(doctor_probe_count <= DOCTOR_PROBES_MAX);
	memset(ret, 0, sizeof(*ret));
	if (uname(&u) == 0)
		snprintf(ret->kernel, sizeof(ret->kernel), "%s %s", u.release, u.machine);
	ret->privileged = is_root();
	for (size_t i = 0; i < doctor_probe_count; i++) {
		const struct doctor_probe *p = &doctor_probes[i];
		struct doctor_finding *f = &ret->findings[ret->count++];
		f->id = p->id;
		f->area = p->area;
		f->protects = p->protects;
		f->advisory = p->advisory;
		p->run(o, f);
		err_clear();
	}
}

void doctor_probe_ids(const char *ret[DOCTOR_PROBES_MAX + 1])
{
	for (size_t i = 0; i < doctor_probe_count; i++)
		ret[i] = doctor_probes[i].id;
	ret[doctor_probe_count] = NULL;
}

const struct doctor_finding *doctor_find(const struct doctor_report *r, const char *id)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->findings[i].id, id) == 0)
			return &r->findings[i];
	return NULL;
}

/* ---- require: ---- */

struct unmet_list {
	struct doctor_unmet *items;
	size_t max;
	size_t count;
};

static void unmet_add(struct unmet_list *l, const char *id, enum doctor_level required,
	const struct doctor_finding *f)
{
	if (l->count < l->max)
		l->items[l->count] = (struct doctor_unmet){id, required, f};
	l->count++;
}

size_t doctor_unmet(const struct doctor_report *r, enum doctor_level all,
	const struct doctor_requirement *named, size_t named_count, struct doctor_unmet *ret,
	size_t max)
{
	struct unmet_list l = {ret, max, 0};

	for (size_t i = 0; i < r->count; i++) {
		const struct doctor_finding *f = &r->findings[i];
		bool is_named = false;
		for (size_t k = 0; k < named_count; k++)
			is_named |= strcmp(named[k].id, f->id) == 0;
		if (!is_named && !f->advisory && f->level < all)
			unmet_add(&l, f->id, all, f);
	}
	for (size_t k = 0; k < named_count; k++) {
		const struct doctor_finding *f = doctor_find(r, named[k].id);
		/* Fails closed: a probe that we do not know protects nothing. */
		if (!f || f->level < named[k].level)
			unmet_add(&l, named[k].id, named[k].level, f);
	}
	return l.count;
}

void doctor_write_json(const struct doctor_report *r, struct buf *b)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "kernel", r->kernel);
	json_field_bool(&w, "privileged", r->privileged);
	json_key(&w, "findings");
	json_array(&w);
	for (size_t i = 0; i < r->count; i++) {
		const struct doctor_finding *f = &r->findings[i];
		json_object(&w);
		json_field_cstr(&w, "id", f->id);
		json_field_cstr(&w, "area", f->area);
		json_field_cstr(&w, "protects", f->protects);
		json_field_cstr(&w, "level", doctor_level_name(f->level));
		json_field_cstr(&w, "why", f->why);
		json_field_cstr(&w, "how", f->how);
		json_field_bool(&w, "advisory", f->advisory);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
}

/* ---- what probes share ---- */

void found(struct doctor_finding *f, enum doctor_level level, const char *how, const char *why, ...)
{
	va_list args;

	f->level = level;
	va_start(args, why);
	vsnprintf(f->why, sizeof(f->why), why, args);
	va_end(args);
	snprintf(f->how, sizeof(f->how), "%s", how ? how : "");
}

bool is_root(void)
{
	return geteuid() == 0;
}

bool read_line(const char *path, char *ret, size_t size)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return false;
	ret[n] = 0;
	ret[strcspn(ret, "\n")] = 0;
	return true;
}

long read_number(const char *path)
{
	char text[32], *end;

	if (!read_line(path, text, sizeof(text)))
		return -1;
	long v = strtol(text, &end, 10);
	return end == text ? -1 : v;
}

int in_child(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(arg));
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
