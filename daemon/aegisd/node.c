/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A node's life: what is opened, in which order, and closed in reverse. Whatever fails on the way
 * up closes what stands and ends the daemon with one message.
 */
#include "daemon/aegisd/aegisd.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	HELPER_WAIT_MS = 15000,
	FILE_THREADS = 4,
	FILE_QUEUE = 1024,
	CHECK_THREADS = 2,
	CHECK_QUEUE = 1024,
	DOORS_GRACE_MS = 5000,
	REAP_MS = 60 * 1000,
};

struct node {
	struct aegisd *d;
	struct group group;
	struct group reloads; /* asked for by signals */
	struct helper_link *helper;
	uint8_t key[HEAD_PUBLIC_KEY_BYTES];
	struct store *store;
	struct journal *journal;
	struct recorder recorder;
	struct event_bus *bus;
	struct tls_client *tls;
	struct llm *llm;
	struct sandbox_driver *sandboxes;
	struct offload *files;
	struct offload *checks; /* of what tool servers are given */
	struct fsal *fsal;
	struct volumes volumes;
	struct policies *policies;
	struct http_client *http;
	struct tool_sandboxes *server_sandboxes;
	struct tool_servers *servers;
	struct smcp_service *smcp;
	struct mcp_service *mcp;
	int snapshots; /* folder of workspaces as iterations left them */
	int replies; /* folder of what NFS was answered */
	struct executions *executions;
	struct api *api;
	struct doors doors;
	bool reloading;
	struct waitq reloaded;
};

void notify_manager(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!path || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (to.sun_path[0] == '@') /* an abstract name */
		to.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (fd >= 0)
		(void)sendto(
			fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, length);
	rt_close(fd);
}

/* ---- sandboxes ---- */

static int sandboxes_open(struct node *n)
{
	const struct aegisd *d = n->d;
	n->recorder = (struct recorder){.journal = n->journal,
		.files = n->files,
		.config = d->first_config,
		.begun = journal_stats(n->journal).records};
	int r = record_servers(&n->recorder, d->config);
	if (r < 0)
		return err_trace(r);
	struct sandbox_process_options o = {
		.link = n->helper,
		.registry = d->registry,
		.resolvers = d->resolvers.count > 0 ? &d->resolvers : NULL,
		.strict = d->config->audit.recording == CONFIG_RECORDING_STRICT,
		.observer =
			{
				.denied = record_denial,
				.lost = record_gap,
				.resolved = record_resolution,
				.lsm_denied = record_lsm_denial,
				.leased = record_lease,
				.flow = record_flow,
				.settle = record_settle,
				.recorded = record_events,
				.position = record_position,
				.resumed = record_resumed,
				.counted = record_counted,
				.ctx = &n->recorder,
			},
	};
	return err_trace(sandbox_process_open(&o, &n->sandboxes));
}

/* ---- state ---- */

static AWAITS int store_start(struct node *n)
{
	const char *data = n->d->config->daemon.data_directory;
	struct buf url CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES + 64);
	buf_printf(&url, "sqlite:%s/aegis.db", data);
	struct store_options o = {
		.url = buf_cstr(&url),
		.states = {&agent_states, &execution_states, &iteration_states,
			&smcp_session_states, &volume_states},
	};
	if (!o.url)
		return err_raise(-ENAMETOOLONG, "spec.daemon.data_directory is too long");
	return err_trace(store_open(&o, &n->store));
}

static AWAITS int journal_start(struct node *n)
{
	static const enum journal_sync syncs[] = {
		[CONFIG_FSYNC_BATCH] = JOURNAL_SYNC_BATCH,
		[CONFIG_FSYNC_RECORD] = JOURNAL_SYNC_RECORD,
		[CONFIG_FSYNC_NEVER] = JOURNAL_SYNC_NONE,
	};
	const struct config_audit *c = &n->d->config->audit;
	char *dir = config_audit_directory(n->d->config);
	if (!dir)
		return err_raise(-ENOMEM, "audit: out of memory");
	struct journal_options o = {
		.dir = dir,
		.sync = syncs[c->fsync],
		.batch_ms = c->fsync_interval_ns / NS_PER_MS,
		.segment_bytes = (uint64_t)c->segment_bytes,
		.sign = signer_sign,
		.sign_ctx = n->helper,
		.key = n->key,
	};
	int r = journal_open(&o, &n->journal);
	free(dir);
	return err_trace(r);
}

static AWAITS int bus_start(struct node *n)
{
	struct event_bus_options o = {
		.store = n->store,
		.journal = n->journal,
		.checkpoint_ms = n->d->config->audit.checkpoint_interval_ns / NS_PER_MS,
	};
	return err_trace(event_bus_start(&o, &n->bus));
}

static const char *recording_text(const struct config *c)
{
	return c->audit.recording == CONFIG_RECORDING_STRICT ? "strict" : "counted";
}

/* That the daemon started, with what weakens it: on record like everything else. */
static AWAITS int started_record(struct node *n)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_cstr(&w, "version", AEGIS_VERSION);
	json_field_cstr(
		&w, "config", n->d->config->file ? n->d->config->file : "embedded defaults");
	json_field_bool(&w, "no_auth", n->d->no_auth);
	json_field_cstr(&w, "recording", recording_text(n->d->config));
	json_field_bool(&w, "allow_insecure_bind", n->d->config->network.allow_insecure_bind);
	json_key(&w, "below_prevented");
	json_array(&w);
	for (size_t i = 0; i < n->d->doctor->count; i++)
		if (!n->d->doctor->findings[i].advisory &&
			n->d->doctor->findings[i].level < DOCTOR_PREVENTED)
			json_put_cstr(&w, n->d->doctor->findings[i].id);
	json_end(&w);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	struct audit_record record = {
		.source = AUDIT_DAEMON, .kind = SPAN("DaemonStarted"), .payload = buf_view(&b)};
	return err_trace(journal_append(n->journal, &record, 1, DEADLINE_NONE));
}

/* ---- policy ---- */

/* Policies by the configuration that holds now, for what runs, too. */
static AWAITS int policy_again(struct node *n, struct buf *findings)
{
	int r = policy_reload(n->d->config, n->policies, n->store, n->journal, findings);

	if (r != 0)
		return err_trace(r);
	size_t ended = n->executions ? executions_renew_rules(n->executions) : 0;
	if (ended)
		log_warn("policy: %zu executions cannot run by the new policies and end", ended);
	if (n->smcp)
		smcp_rules_changed(n->smcp);
	return 0;
}

/* On SIGHUP and on demand: the configuration, the policies and the tool servers. A part that is
 * refused stays as it was: POLICY_INVALID, and *findings says what is wrong. */
static AWAITS int reload_all(struct node *n, struct buf *findings)
{
	const struct config *c;
	bool taken = aegisd_reload(n->d, n->files, n->doors.tls, findings);
	int r = policy_again(n, findings);

	if (r < 0)
		return err_trace(r);
	c = config_ref(n->d->config);
	int servers = record_servers(&n->recorder, c);
	if (servers == 0)
		servers = servers_reload(c, n->servers);
	config_unref(c);
	if (servers < 0) {
		buf_printf(findings, "%s\n", err_message(servers));
		err_log(servers, "reload: the tool servers stay as they were");
	}
	return taken && servers == 0 ? r : POLICY_INVALID;
}

static AWAITS int node_reload(void *ctx, struct buf *findings)
{
	struct node *n = ctx;
	int r = 0;

	while (r == 0 && n->reloading)
		r = waitq_wait(&n->reloaded, DEADLINE_NONE);
	if (r < 0)
		return r;
	n->reloading = true;
	notify_manager("RELOADING=1");
	r = reload_all(n, findings);
	notify_manager("READY=1");
	n->reloading = false;
	waitq_wake_all(&n->reloaded);
	return err_trace(r);
}

/* ---- flows ---- */

static int folder_open(const struct node *n, const char *folder, int *ret_fd)
{
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	buf_printf(&path, "%s/%s", n->d->config->daemon.data_directory, folder);
	const char *name = buf_cstr(&path);
	int r = name ? fd_make_dirs(name, 0700) : -ENAMETOOLONG;
	if (r < 0)
		return err_wrap(r, "spec.daemon.data_directory");
	*ret_fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(-errno, "open '%s'", name) : 0;
}

static bool is_prevented(const struct node *n, const char *probe)
{
	const struct doctor_finding *f = doctor_find(n->d->doctor, probe);
	return f && f->level == DOCTOR_PREVENTED;
}

/* ---- tool servers ---- */

static AWAITS int servers_make(struct node *n)
{
	int r = tool_sandboxes_new(n->sandboxes, n->d->registry, &n->server_sandboxes);

	if (r == 0)
		r = offload_start("checks", CHECK_THREADS, CHECK_QUEUE, &n->checks);
	if (r == 0)
		r = http_client_start(&(struct http_client_options){.tls = n->tls}, &n->http);
	if (r < 0)
		return err_trace(r);
	return err_trace(servers_open(n->d->first_config,
		&(struct tool_servers_options){
			.launcher = tool_sandboxes_launcher(n->server_sandboxes),
			.http = n->http,
			.checks = n->checks,
			.bus = n->bus,
			.tenant_id = "local",
		},
		&n->servers));
}

/* ---- signed calls ---- */

/* smcp_context_fn */
static AWAITS int context_rules(
	void *ctx, struct span name, struct rule_set **ret, int64_t deadline_ns)
{
	struct node *n = ctx;
	int r = policies_context_set(n->policies, name, ret, deadline_ns);

	return r == POLICY_NO_CONTEXT ? SMCP_SCOPE_NOT_FOUND : err_trace(r);
}

static AWAITS int smcp_start(struct node *n)
{
	const struct config *c = n->d->first_config;
	struct smcp_service_options o = {
		.store = n->store,
		.bus = n->bus,
		.files = n->files,
		.keys_directory = n->d->smcp_keys_path,
		.fsal = n->fsal,
		.workspaces_directory = n->d->smcp_workspaces_path,
		.file_observer = record_file,
		.file_observer_ctx = n->journal,
		.issuer = "aegis-orchestrator",
		.audience = "aegis-agents",
		.tenant_id = "local",
		.source = tool_servers_source(n->servers),
		.context = context_rules,
		.context_ctx = n,
	};
	if (c->smcp) {
		o.issuer = c->smcp->issuer;
		if (c->smcp->audiences.count)
			o.audience = c->smcp->audiences.items[0];
		o.token_life_s = c->smcp->token_ttl_s;
		o.own_key_path = c->smcp->private_key_path;
	}
	int r = smcp_service_start(&n->group, &o, &n->smcp);
	if (r < 0)
		return err_wrap(r, "SMCP");
	return err_trace(mcp_service_new(
		&(struct mcp_service_options){
			.store = n->store,
			.bus = n->bus,
			.tenant_id = "local",
			.source = tool_servers_source(n->servers),
			.smcp = n->smcp,
		},
		&n->mcp));
}

/* What a former process left of uploads goes, then volumes whose time is over. */
static AWAITS void reap(void *arg)
{
	struct node *n = arg;
	int r = volumes_sweep(&n->volumes, DEADLINE_NONE);

	if (r < 0 && r != -ECANCELED)
		err_log(r, "look for uploads that were cut short");
	err_clear();

	while (rt_sleep_until(deadline_in_ms(REAP_MS)) == 0)
		if (volumes_reap(&n->volumes, rt_wall_ns(), deadline_in_ms(REAP_MS)) < 0)
			err_log(-EIO, "delete expired volumes (tried again in a minute)");
	err_clear();
}

static AWAITS int flows_start(struct node *n)
{
	const struct config *c = n->d->config;

	n->volumes = (struct volumes){.store = n->store,
		.bus = n->bus,
		.sandboxes = n->sandboxes,
		.files = n->files,
		.fsal = n->fsal,
		.locks = volume_locks_new(),
		.file_observer = record_file,
		.file_observer_ctx = n->journal};
	if (!n->volumes.locks)
		return err_raise(-ENOMEM, "volumes: out of memory");
	struct execution_deps deps = {
		.store = n->store,
		.bus = n->bus,
		.sandboxes = n->sandboxes,
		.llm = n->llm,
		.files = n->files,
		.volumes = &n->volumes,
		.fsal = n->fsal,
		.policies = n->policies,
		.source = tool_servers_source(n->servers),
		.smcp = n->smcp,
		.snapshots_fd = n->snapshots,
		.files_mediated = is_prevented(n, "files.mediation"),
		.programs_decided = is_prevented(n, "rules.programs"),
		.replies_fd = n->replies,
		.file_observer = record_file,
		.file_observer_ctx = n->journal,
		.file_coalesce_ns = c->audit.file_window_ns,
		.node_id = span_cstr(c->node.id),
		.levels = aegisd_reaches,
		.levels_ctx = (void *)(uintptr_t)n->d,
		.limits =
			{
				.running_max = (size_t)c->daemon.max_executions,
				.timeout_ns = 1800 * NS_PER_S,
				.cmd_timeout_ms = c->cmd_dispatcher.max_timeout_ceiling_s * 1000,
				.cmd_output_bytes = (size_t)c->cmd_dispatcher.max_output_bytes,
				.cancel_grace_ns = 5 * NS_PER_S,
			},
	};
	int r = executions_start(&n->group, &deps, &n->executions);
	if (r == 0)
		r = group_spawn(&n->group, "volumes", FIBER_LARGE, reap, n);
	return err_trace(r);
}

static AWAITS int doctor_answer(void *ctx, struct json_writer *w)
{
	struct node *n = ctx;
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	doctor_write_json(n->d->doctor, &b);
	int r = buf_error(&b);
	if (r == 0)
		json_put_raw(w, buf_view(&b));
	return err_trace(r);
}

static void status_answer(void *ctx, struct json_writer *w)
{
	struct node *n = ctx;
	const struct config *c = n->d->config;
	json_field_cstr(w, "mode", "standalone");
	json_field_cstr(w, "recording", recording_text(n->d->first_config));
	json_key(w, "weakened");
	json_array(w);
	if (n->d->no_auth)
		json_put_cstr(w, "--no-auth: the TCP door needs no key");
	if (c->network.allow_insecure_bind && !config_is_loopback(c->network.bind_address))
		json_put_cstr(w, "spec.network.allow_insecure_bind: the TCP door has no TLS");
	const struct doctor_finding *files = doctor_find(n->d->doctor, "files.mediation");
	if (files && files->level < DOCTOR_PREVENTED)
		json_put_cstr(w, files->why);
	json_end(w);
	json_key(w, "without_effect");
	json_array(w);
	for (size_t i = 0; i < config_notice_count(c); i++)
		json_put_cstr(w, config_notice(c, i));
	json_end(w);
	json_key(w, "tool_servers");
	tool_servers_states_put(w, n->servers);
	json_field_i64(w, "audit_lag",
		(int64_t)(store_stats(n->store).events - event_journaled_through(n->bus)));
}

static void servers_answer(void *ctx, struct json_writer *w)
{
	struct node *n = ctx;
	tool_servers_put(w, n->servers);
}

static AWAITS int api_start(struct node *n)
{
	const struct config *c = n->d->config;
	struct api_deps deps = {
		.store = n->store,
		.bus = n->bus,
		.executions = n->executions,
		.volumes = &n->volumes,
		.smcp = n->smcp,
		.mcp = n->mcp,
		.source = tool_servers_source(n->servers),
		.tool_servers = servers_answer,
		.bearer_key = n->d->bearer_key,
		.tenant_id = "local",
		.node_id = c->node.id,
		.doctor = doctor_answer,
		.status = status_answer,
		.policies = n->policies,
		.policy_reload = node_reload,
		.ctx = n,
		.started_ns = rt_now_ns(),
		.list_max = c->max_execution_list_limit,
	};
	int r = api_new(&deps, &n->api);
	return r < 0 ? err_trace(r) : err_trace(doors_open(&n->doors, n->d, n->api));
}

/* ---- up and down ---- */

static AWAITS int node_open(struct node *n)
{
	int r = helper_link_new(n->d->helper_socket, &n->helper);
	if (r == 0)
		r = signer_key(n->helper, n->key, deadline_in_ms(HELPER_WAIT_MS));
	if (r == -ENOTCONN)
		r = err_wrap(r, "start aegis-helper first (it needs root)");
	if (r == 0)
		r = store_start(n);
	if (r == 0)
		r = journal_start(n);
	if (r == 0)
		r = started_record(n);
	if (r == 0)
		r = bus_start(n);
	if (r == 0)
		r = offload_start("files", FILE_THREADS, FILE_QUEUE, &n->files);
	if (r == 0)
		r = policy_start(n->d->config, n->files, n->store, &n->policies);
	if (r == 0)
		r = tls_client_new(&(struct tls_client_options){0}, &n->tls);
	if (r == 0)
		r = models_open(n->d->config, n->tls, &n->llm);
	if (r == 0)
		r = sandboxes_open(n);
	if (r == 0)
		r = folder_open(n, "snapshots", &n->snapshots);
	if (r == 0)
		r = folder_open(n, "nfs-replies", &n->replies);
	if (r == 0)
		r = files_open(n->d->config, &n->fsal);
	if (r == 0)
		r = servers_make(n);
	if (r == 0)
		r = smcp_start(n);
	if (r == 0)
		r = flows_start(n);
	/* The executions have ended what a former daemon left of them. */
	if (r == 0)
		r = tool_servers_start(n->servers);
	if (r == 0)
		r = api_start(n);
	return err_trace(r);
}

static AWAITS void node_close(struct node *n)
{
	doors_close(&n->doors, deadline_in_ms(DOORS_GRACE_MS));
	group_close(&n->reloads);
	api_free(n->api);
	executions_stop(n->executions);
	group_close(&n->group);
	n->volumes.locks = volume_locks_free(n->volumes.locks);
	smcp_service_free(n->smcp); /* clients' files are attached to the file layer */
	mcp_service_free(n->mcp);
	fsal_stop(n->fsal);
	tool_servers_stop(n->servers);
	offload_stop(n->checks);
	http_client_stop(n->http);
	tool_sandboxes_free(n->server_sandboxes);
	sandbox_driver_close(n->sandboxes);
	record_servers_free(&n->recorder);
	record_repeat_over(&n->recorder);
	llm_stop(n->llm);
	tls_client_unref(n->tls);
	event_bus_stop(n->bus);
	if (n->journal && journal_checkpoint(n->journal, deadline_in_ms(DOORS_GRACE_MS)) < 0)
		err_log(-EIO, "sign the audit journal's last head (the next start does)");
	journal_close(n->journal);
	store_close(n->store);
	policies_free(n->policies);
	offload_stop(n->files);
	rt_close(n->snapshots);
	rt_close(n->replies);
	helper_link_free(n->helper);
}

/* Beside the signals: it may wait for the helper. */
static void reload(void *node)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(POLICY_FINDINGS_BYTES);
	int r = node_reload(node, &findings);

	if (r < 0 && r != -ECANCELED)
		err_log(r, "SIGHUP: load again");
	err_clear();
}

static AWAITS void serve(struct node *n)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	for (;;) {
		int signal = signal_wait(&set, DEADLINE_NONE);
		if (signal == SIGUSR1) {
			rt_report_fibers();
			continue;
		}
		if (signal != SIGHUP) {
			log_info("stopping; sandboxes go on and are taken up at the next start");
			return;
		}
		if (group_spawn(&n->reloads, "reload", FIBER_LARGE, reload, n) < 0)
			err_log(-ENOMEM, "SIGHUP: load again");
	}
}

static AWAITS void live(struct node *n)
{
	int r = node_open(n);

	if (r < 0) {
		err_log(r, "start");
		n->d->exit_code = 1;
	} else {
		for (size_t i = 0; i < config_notice_count(n->d->config); i++)
			log_warn("without effect: %s", config_notice(n->d->config, i));
		log_info("ready on %s", n->doors.unix_path);
		notify_manager("READY=1");
		serve(n);
	}
	notify_manager("STOPPING=1");
	node_close(n);
}

void aegisd_main(void *arg)
{
	struct aegisd *d = arg;
	struct node *n = calloc(1, sizeof(*n));

	if (!n) {
		log_error("start: out of memory");
		d->exit_code = 1;
		return;
	}
	*n = (struct node){.d = d, .snapshots = -1, .replies = -1};
	group_init(&n->group);
	group_init(&n->reloads);
	waitq_init(&n->reloaded);
	live(n);
	free(n);
}
