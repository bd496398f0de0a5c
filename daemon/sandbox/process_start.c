/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Making a process sandbox: the runtime that serves the language, the argument vector and the
 * environment of the agent, and the request to the helper.
 */
#include "daemon/helper/launch.h"
#include "daemon/sandbox/process_internal.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { KILL_MS = 5000 };

struct ask_create {
	struct helper_request request;
	const struct process_driver *driver;
	struct sensor_policy *policy; /* NULL: no network */
	struct lsm_policy_entry *paths; /* NULL: none about files */
	bool found; /* an earlier attempt made it, under another number of the policy about files */
	struct helper_sandbox_spec spec;
	struct helper_sandbox made;
	struct helper_sandbox_fds fds;
};

/* The one that an attempt made whose answer was lost. */
static AWAITS int find_made(struct helper *h, struct ask_create *a, int64_t deadline_ns)
{
	struct helper_sandbox *list;
	size_t count;
	int r = helper_sandbox_list(h, &list, &count, deadline_ns);

	if (r < 0)
		return err_trace(r);
	r = -EEXIST;
	for (size_t i = 0; i < count; i++)
		if (uuid_eq(list[i].execution, a->spec.execution) &&
			list[i].iteration == a->spec.iteration) {
			a->made = list[i];
			a->found = true;
			r = 0;
		}
	free(list);
	if (r < 0)
		return err_raise(r, "a sandbox of that execution and iteration");
	r = helper_listener_get(h, a->made.id, a->made.execution, &a->fds, deadline_ns);
	return r == -ESRCH ? 0 : err_trace(r);
}

static int do_create(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_create *a = container_of(q, struct ask_create, request);

	/* The policies may not be in this helper's maps. */
	uint64_t instance = helper_info(h)->instance;
	if ((a->policy && instance != a->driver->sensor_instance) ||
		(a->paths && instance != a->driver->lsm_instance))
		return PROCESS_START_AGAIN;
	int r = helper_sandbox_create(h, &a->spec, &a->made, &a->fds, deadline_ns);

	if (r == -EEXIST && q->repeated)
		r = find_made(h, a, deadline_ns);
	return err_trace(r);
}

/* argv for aegis-bootstrap: itself with the prompt, or interpreter, program and prompt. */
static int make_argv(
	struct arena *a, const struct sandbox_spec *spec, const struct runtime *t, char ***ret)
{
	size_t count = 3, n = 0;

	for (char *const *p = spec->program; p && *p; p++)
		count++;
	for (const char *const *p = t->interpreter; *p; p++)
		count++;
	char **argv = arena_make_array(a, char *, count);
	if (!argv)
		return err_raise(-ENOMEM, "arguments of a sandbox");
	if (!spec->program)
		argv[n++] = arena_strdup(a, "aegis-bootstrap");
	for (const char *const *p = t->interpreter; spec->program && *p; p++)
		argv[n++] = arena_strdup(a, *p);
	for (char *const *p = spec->program; p && *p; p++)
		argv[n++] = arena_strdup(a, *p);
	if (spec->prompt)
		argv[n++] = arena_strdup(a, spec->prompt);
	for (size_t i = 0; i < n; i++)
		if (!argv[i])
			return err_raise(-ENOMEM, "arguments of a sandbox");
	*ret = argv;
	return 0;
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* The base environment without what the spec sets itself, then the spec's. */
static int make_env(struct arena *a, const struct sandbox_spec *spec, char ***ret)
{
	size_t count = 3, n = 0;

	for (const char *const *p = sandbox_base_env; *p; p++)
		count++;
	for (char *const *p = spec->env; p && *p; p++)
		count++;
	char **envp = arena_make_array(a, char *, count);
	if (!envp)
		return err_raise(-ENOMEM, "environment of a sandbox");
	for (const char *const *base = sandbox_base_env; *base; base++) {
		bool replaced = false;
		for (char *const *p = spec->env; p && *p; p++)
			replaced |= same_name(*base, *p);
		if (!replaced && !(envp[n++] = arena_strdup(a, *base)))
			return err_raise(-ENOMEM, "environment of a sandbox");
	}
	for (char *const *p = spec->env; p && *p; p++)
		envp[n++] = *p;
	if (spec->stdio && !(envp[n++] = arena_strdup(a, LAUNCH_STDIO "=1")))
		return err_raise(-ENOMEM, "environment of a sandbox");
	if (spec->serves && !(envp[n++] = arena_printf(a, LAUNCH_SERVES "=%u", spec->serves)))
		return err_raise(-ENOMEM, "environment of a sandbox");
	*ret = envp;
	return 0;
}

static struct process_sandbox *process_new(
	struct sandbox_driver *d, const struct helper_sandbox *h, struct helper_sandbox_fds *fds)
{
	struct process_sandbox *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->base = (struct sandbox){.driver = d,
		.state = SANDBOX_STARTING,
		.execution = h->execution,
		.iteration = h->iteration,
		.id = h->id,
		.identity = h->cgroup_id,
		.listener = TAKE_FD(fds->listener),
		.log = TAKE_FD(fds->log)};
	list_init(&p->calls);
	p->pidfd = TAKE_FD(fds->pidfd);
	p->network = h->network;
	p->uid = h->uid;
	p->base.mediated = h->files == HELPER_FILES_NFS;
	return p;
}

int process_take(struct sandbox_driver *d, const struct helper_sandbox *h,
	struct helper_sandbox_fds *fds, struct sandbox **ret)
{
	struct process_sandbox *p = process_new(d, h, fds);

	if (!p) {
		helper_sandbox_fds_close(fds);
		return err_raise(-ENOMEM, "sandbox");
	}
	bool alive = h->state == HELPER_SANDBOX_RUNNING && p->pidfd >= 0;
	int r = state_move(
		&sandbox_states, &p->base.state, alive ? SANDBOX_RUNNING : SANDBOX_ENDED);
	CHECK(r == 0);
	list_push_back(&process_driver_of(d)->alive, &p->alive_link);
	*ret = &p->base;
	return 0;
}

/* What cannot be furnished must not go on. Returns `r`. */
static AWAITS int give_up(struct sandbox *s, int r)
{
	char words[ERR_MESSAGE_BYTES];
	struct sandbox_ending ending;
	snprintf(words, sizeof(words), "%s", err_message(r));
	fiber_shield_begin();
	int64_t patience_ns = deadline_in_ms(KILL_MS);
	int bad = sandbox_stop(s, SANDBOX_ABANDON, patience_ns);
	if (bad == 0)
		bad = sandbox_wait(s, &ending, patience_ns);
	bad = bad == 0 ? sandbox_release(s, patience_ns) : bad;
	if (bad < 0)
		err_log(bad, "give up a sandbox that cannot be furnished");
	fiber_shield_end();
	return err_raise(r, "%s", words);
}

/* One that is killed before it begins has begun and ended, as for everybody who looks later. */
static AWAITS int forgive_death(struct process_sandbox *p, int r, int64_t deadline_ns)
{
	if (r != -ESRCH || p->pidfd < 0)
		return err_trace(r);
	err_clear();
	r = rt_poll(p->pidfd, POLLIN, deadline_ns);
	return r < 0 ? err_trace(r) : 0;
}

/* Makes it, furnishes it, and lets its program run. PROCESS_START_AGAIN. */
static AWAITS int start_under(struct sandbox_driver *d, struct ask_create *a,
	const struct sandbox_spec *spec, struct sandbox **ret, int64_t deadline_ns)
{
	struct sandbox *s;
	int r = helper_ask(process_driver_of(d)->link, &a->request, deadline_ns);
	int listener = TAKE_FD(a->fds.files);

	if (r == 0)
		r = process_take(d, &a->made, &a->fds, &s);
	if (r != 0) {
		rt_close(listener);
		return err_trace(r);
	}
	r = spec->files ? process_files_begin(process_of(s), spec, listener, deadline_ns) : 0;
	if (r == PROCESS_START_AGAIN) {
		sandbox_forget(s);
		return r;
	}
	if (r == 0 && a->policy)
		r = process_network_begin(process_of(s), a->policy, deadline_ns);
	if (r == 0 && a->found && process_driver_of(d)->lsm)
		r = process_forgive_ended(process_of(s),
			lsm_agent_set_policy(process_driver_of(d)->lsm, s->identity, a->paths));
	if (r < 0)
		r = forgive_death(process_of(s), r, deadline_ns);
	if (r < 0)
		return give_up(s, r);
	*ret = s;
	return 0;
}

/* The policies that it begins under, in the kernel's maps. */
static AWAITS int enter_policies(struct process_driver *d, struct ask_create *a,
	const struct sandbox_spec *spec, int64_t deadline_ns)
{
	a->policy = NULL;
	a->paths = NULL;
	int r = process_record_ready(d, deadline_ns);

	/* With nothing awaited between the two: another fiber may be changing over to a new helper.
	 */
	if (r == 0)
		r = process_lsm_ready(d, deadline_ns);
	if (r == 0)
		r = process_paths_policy(d, spec->paths, &a->paths);
	if (r == 0 && spec->network && (spec->network->net_count > 0 || spec->network_in_calls))
		r = process_network_policy(d, spec->network, &a->policy, deadline_ns);
	a->spec.network_policy = a->policy ? sensor_policy_number(a->policy) : 0;
	a->spec.file_policy = a->paths ? lsm_policy_number(a->paths) : 0;
	return err_trace(r);
}

static AWAITS int start_once(struct sandbox_driver *d, struct ask_create *a,
	const struct sandbox_spec *spec, struct sandbox **ret, int64_t deadline_ns)
{
	int r = enter_policies(process_driver_of(d), a, spec, deadline_ns);

	if (r == 0)
		r = start_under(d, a, spec, ret, deadline_ns);
	sensor_policy_unref(a->policy);
	if (r != 0) {
		lsm_policy_unref(a->paths);
		return err_trace(r);
	}
	process_of(*ret)->paths = a->paths;
	process_of(*ret)->own_paths = true;
	return 0;
}

static AWAITS int open_directory(struct sandbox_driver *d, struct uuid id, int64_t deadline_ns)
{
	int fd;
	int r = process_workspace_open(d, id, &fd, deadline_ns);

	if (r == 0)
		rt_close(fd);
	return err_trace(r);
}

/* Sees that all directories are there, and says where they go. */
static AWAITS int open_directories(struct sandbox_driver *d, const struct sandbox_spec *spec,
	struct arena *a, struct helper_place **ret, int64_t deadline_ns)
{
	struct helper_place *places =
		arena_make_array(a, struct helper_place, spec->volume_count + 1);
	int r = places ? open_directory(d,
				 uuid_is_nil(spec->workspace) ? spec->execution : spec->workspace,
				 deadline_ns)
		       : err_raise(-ENOMEM, "volumes of a sandbox");

	for (size_t i = 0; r == 0 && i < spec->volume_count; i++) {
		const struct sandbox_volume *v = &spec->volumes[i];
		places[i] = (struct helper_place){v->id, v->read_only, v->at};
		r = open_directory(d, v->id, deadline_ns);
	}
	*ret = places;
	return err_trace(r);
}

static AWAITS int start(struct sandbox_driver *d, const struct sandbox_spec *spec,
	struct sandbox **ret, int64_t deadline_ns)
{
	struct arena *arena CLEANUP(arena_cleanup) =
		arena_new(2 * (HELPER_ARGV_BYTES_MAX + HELPER_ENV_BYTES_MAX));
	const struct sandbox_limits *l = &spec->limits;
	const struct runtime *t;
	char **argv = NULL, **envp = NULL;
	struct helper_place *places = NULL;

	if (!arena)
		return err_raise(-ENOMEM, "sandbox");
	int r = runtime_registry_match(
		process_driver_of(d)->registry, spec->language, spec->version, &t);
	if (r == 0)
		r = make_argv(arena, spec, t, &argv);
	if (r == 0)
		r = make_env(arena, spec, &envp);
	if (r == 0)
		r = open_directories(d, spec, arena, &places, deadline_ns);
	if (r < 0)
		return err_trace(r);
	struct ask_create a = {.request.fn = do_create,
		.driver = process_driver_of(d),
		.fds = {-1, -1, -1, -1},
		.spec = {.execution = spec->execution,
			.iteration = spec->iteration,
			.runtime = t->name,
			.limits = {l->cpu_millis, l->pids, l->memory_bytes, l->tmp_bytes,
				l->file_bytes, l->open_files},
			.argv = argv,
			.envp = envp,
			.files = spec->files ? HELPER_FILES_NFS : HELPER_FILES_BOUND,
			.workspace = spec->workspace,
			.read_only = spec->read_only,
			.strict = spec->strict || process_driver_of(d)->strict,
			.places = places,
			.place_count = spec->volume_count}};
	do
		r = start_once(d, &a, spec, ret, deadline_ns);
	while (r == PROCESS_START_AGAIN);
	return err_trace(r);
}

int process_start(struct sandbox_driver *d, const struct sandbox_spec *spec, struct sandbox **ret,
	int64_t deadline_ns)
{
	struct process_driver *p = process_driver_of(d);

	p->starting++;
	int r = start(d, spec, ret, deadline_ns);
	p->starting--;
	if (r < 0)
		process_record_rest(p);
	return err_trace(r);
}
