/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A runtime of one worker, with a file layer, one volume on a local folder, one attachment and one
 * server. What must be the same after a restart (the key of the handles, the secret of the path,
 * the replies that were given) stands in the state directory, if there is one.
 */
#include "tools/aegis/nfs_serve.h"
#include "nfs/backend/backend.h"
#include "nfs/server/server.h"
#include "tools/aegis/nfs_portmap.h"
#include "tools/aegis/nfs_records.h"
#include "tools/aegis/policy_source.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	KEY_BYTES = 32,
	BACKLOG = 128,
	OFFLOAD_THREADS = 4,
	OFFLOAD_QUEUE = 1024,
	POLICY_ARENA_BYTES = 256 * 1024 * 1024,
};

struct secrets {
	uint8_t key[KEY_BYTES];
	uint8_t token[NFS_SERVE_TOKEN_BYTES / 2];
};

struct serving {
	const struct nfs_serve_options *options;
	struct secrets secrets;
	char path[NFS_SERVE_TOKEN_BYTES + 2];
	struct rule_set *rules;
	int root; /* until the volume has it */
	int reply_file; /* until the server has it */
	int listening; /* until the server has it */
	int result;
	/* while it runs */
	struct offload *offload;
	struct fsal *layer;
	struct fsal_volume *volume;
	struct fsal_attachment *attachment;
	struct nfs_server *server;
	struct nfs_records *records;
	struct group recording;
};

/* ---- what is prepared before the runtime starts ---- */

/* What `aegis policy validate` refuses is not served: a misspelt forbid would forbid nothing. */
static int check_policy(const char *file, struct span text)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(POLICY_ARENA_BYTES);
	struct buf findings CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const struct cedar_source source = {"the built-in schema", context_schema()};
	const struct cedar_schema *schema;
	struct cedar_validation v;
	int r = a ? cedar_schema_parse_all(a, &source, 1, &schema)
		  : err_raise(-ENOMEM, "no memory");
	if (r == 0)
		r = policy_check_types(a, schema, file, text, CEDAR_NO_LEVEL, &v);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < v.count; i++)
		policy_put_finding(&findings, file, &v.findings[i]);
	if (findings.len)
		fwrite(findings.data, 1, findings.len, stderr);
	return v.valid ? 0 : err_raise(-EINVAL, "%s: not valid", file);
}

static int read_policy(const char *file, struct rule_set **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES);
	int r = fd_read_file(file, &text);
	if (r < 0)
		return err_trace(r);
	struct rule_set_builder *b = rule_set_builder_new();
	r = b ? rule_add_cedar(b, buf_view(&text), file) : err_raise(-ENOMEM, "memory for rules");
	if (r == 0)
		r = check_policy(file, buf_view(&text));
	if (r == 0) {
		*ret = rule_set_seal(b);
		r = *ret ? 0 : -EINVAL;
	}
	rule_set_builder_free(b);
	return err_trace(r);
}

/* Secrets of an earlier run, or new ones, kept if there is a place for them. */
static int find_secrets(int state, struct secrets *s)
{
	randombytes_buf(s, sizeof(*s));
	if (state < 0)
		return 0;
	AUTO_FD fd = openat(state, "secrets", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(-errno, "open the file \"secrets\" of the state directory");
	struct secrets kept;
	ssize_t n = pread(fd, &kept, sizeof(kept), 0);
	if (n == (ssize_t)sizeof(kept)) {
		*s = kept;
		secret_wipe(&kept, sizeof(kept));
		return 0;
	}
	if (n != 0)
		return err_raise(-EINVAL,
			"the file \"secrets\" of the state directory has %zd bytes; accepted: %zu, "
			"or "
			"none",
			n, sizeof(kept));
	if (pwrite(fd, s, sizeof(*s), 0) != (ssize_t)sizeof(*s) || fsync(fd) < 0)
		return err_sys(-errno, "write the file \"secrets\" of the state directory");
	return 0;
}

static int open_state(struct serving *s)
{
	const char *path = s->options->state_directory;
	AUTO_FD state = -1;
	if (path) {
		int r = fd_make_dirs(path, 0700);
		if (r < 0)
			return err_trace(r);
		state = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
		if (state < 0)
			return err_sys(-errno, "open the state directory %s", path);
		s->reply_file =
			openat(state, "replies", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (s->reply_file < 0)
			return err_sys(-errno, "open %s/replies", path);
	}
	return find_secrets(state, &s->secrets);
}

static int listen_on(struct sockaddr_in *addr)
{
	int one = 1;
	char text[INET_ADDRSTRLEN];
	socklen_t n = sizeof(*addr);
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)inet_ntop(AF_INET, &addr->sin_addr, text, sizeof(text));
	if (fd < 0)
		return err_sys(-errno, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, (struct sockaddr *)addr, n) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, (struct sockaddr *)addr, &n) < 0)
		return err_sys(-errno, "listen on %s:%d", text, ntohs(addr->sin_port));
	return TAKE_FD(fd);
}

static int prepare(struct serving *s, struct sockaddr_in *addr)
{
	const struct nfs_serve_options *o = s->options;
	if (o->posix && geteuid() != 0)
		return err_raise(-EPERM, "--posix acts as the clients' users, which needs root");
	if (o->policy_file) {
		int r = read_policy(o->policy_file, &s->rules);
		if (r < 0)
			return err_trace(r);
	}
	s->root = open(o->directory, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (s->root < 0)
		return err_sys(-errno, "open %s", o->directory);
	int r = open_state(s);
	if (r < 0)
		return err_trace(r);
	struct buf b CLEANUP(buf_fini) = buf_init(sizeof(s->path));
	buf_putc(&b, '/');
	hex_encode(&b, span_of(s->secrets.token, sizeof(s->secrets.token)));
	memcpy(s->path, b.data,
		MIN(b.len, sizeof(s->path) - 1)); /* NUL-terminated by its initial zeros */
	s->listening = listen_on(addr);
	return s->listening < 0 ? err_trace(s->listening) : 0;
}

/* ---- in the runtime ---- */

static int set_up(struct serving *s)
{
	static const char door[] = "nfs serve";
	const struct nfs_serve_options *o = s->options;
	struct fsal_options layer = {0};
	int r = o->records_file ? nfs_records_open(o->records_file, &s->records) : 0;
	if (r == 0 && s->records)
		r = group_spawn(&s->recording, "records", FIBER_SMALL, nfs_records_run, s->records);
	struct fsal_attach_options attach = {
		.execution_id = SPAN("nfs-serve"),
		.mount_path = SPAN("/"),
		.kind = o->posix ? FSAL_POSIX : FSAL_SQUASH,
		.uid = geteuid(),
		.gid = getegid(),
		.read_only = o->read_only,
		.sync = o->sync,
		.open = !s->rules,
		.rules = s->rules,
		.door = door,
		.observer = s->records ? nfs_records_take : NULL,
		.observer_ctx = s->records,
		.coalesce_ns = o->window_ms * NS_PER_MS,
	};
	memcpy(layer.key, s->secrets.key, sizeof(layer.key));
	if (r == 0)
		r = offload_start("files", OFFLOAD_THREADS, OFFLOAD_QUEUE, &s->offload);
	if (r == 0)
		r = fsal_start(&layer, &s->layer);
	struct backend_local_options local = {.offload = s->offload};
	if (r == 0)
		r = backend_local_open(
			s->layer, TAKE_FD(s->root), &local, SPAN("nfs-serve"), &s->volume);
	if (r == 0)
		r = fsal_attach(s->volume, &attach, &s->attachment);
	struct nfs_server_options server = {
		.layer = s->layer, .door = door, .reply_file = s->reply_file};
	if (r == 0) {
		s->reply_file = -1;
		r = nfs_server_new(&server, &s->server);
	}
	if (r == 0)
		r = nfs_server_export(s->server,
			span_cstr(o->export_path ? o->export_path : s->path),
			o->export_path != NULL, s->attachment);
	return err_trace(r);
}

static void tear_down(struct serving *s)
{
	nfs_server_free(s->server);
	fsal_detach(s->attachment);
	fsal_volume_free(s->volume);
	fsal_stop(s->layer);
	group_close(&s->recording);
	nfs_records_close(s->records);
	offload_stop(s->offload);
}

static void run_server(void *arg)
{
	struct serving *s = arg;
	int r = nfs_server_run(s->server, TAKE_FD(s->listening));
	if (r != -ECANCELED)
		s->result = r;
	if (r != -ECANCELED)
		(void)kill(getpid(), SIGTERM);
}

static int read_policy_again(void *arg)
{
	struct serving *s = arg;
	struct rule_set *rules;
	int r = read_policy(s->options->policy_file, &rules);
	if (r < 0)
		return err_trace(r);
	rule_set_unref(s->rules);
	s->rules = rules;
	return 0;
}

/* One that is refused changes nothing. */
static AWAITS void reload(struct serving *s)
{
	int r = offload_call(s->offload, read_policy_again, s, DEADLINE_NONE);
	if (r < 0) {
		err_log(r, "SIGHUP: the policy of before goes on to hold");
		return;
	}
	fsal_attachment_set_rules(s->attachment, s->rules);
	log_info("SIGHUP: the policy of %s holds from here on", s->options->policy_file);
}

static AWAITS void wait_for_the_end(struct serving *s)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (s->rules)
		sigaddset(&set, SIGHUP);
	while (signal_wait(&set, DEADLINE_NONE) == SIGHUP)
		reload(s);
}

static void serve_fiber(void *arg)
{
	struct serving *s = arg;
	struct group g;
	group_init(&s->recording);
	s->result = set_up(s);
	if (s->result == 0) {
		group_init(&g);
		s->result = group_spawn(&g, "nfs server", FIBER_SMALL, run_server, s);
		if (s->result == 0)
			wait_for_the_end(s);
		group_close(&g);
	}
	tear_down(s);
}

/* ---- */

static void say_how(const struct serving *s, const struct sockaddr_in *addr)
{
	const struct nfs_serve_options *o = s->options;
	char host[INET_ADDRSTRLEN];
	bool any = addr->sin_addr.s_addr == htonl(INADDR_ANY);
	int port = ntohs(addr->sin_port);
	(void)inet_ntop(AF_INET, &addr->sin_addr, host, sizeof(host));
	printf("serving %s on %s:%d%s%s\n", o->directory, host, port, o->posix ? ", posix" : "",
		o->read_only ? ", read-only" : "");
	if (o->export_path)
		printf("open: whoever reaches %s:%d may mount it\n", host, port);
	printf("mount -t nfs -o vers=3,proto=tcp,nolock,hard,port=%d,mountport=%d,mountproto=tcp "
	       "%s:%s MOUNTPOINT\n",
		port, port, any ? "HOST" : host, o->export_path ? o->export_path : s->path);
	fflush(stdout);
}

int nfs_serve(const struct nfs_serve_options *o)
{
	struct serving s = {.options = o, .root = -1, .reply_file = -1, .listening = -1};
	struct rt_options rt = {.workers = 1};
	struct sockaddr_in addr = o->listen;
	fd_raise_limit();
	int r = prepare(&s, &addr);
	if (r == 0 && o->portmap)
		r = nfs_portmap_set(ntohs(addr.sin_port));
	if (r == 0) {
		say_how(&s, &addr);
		r = rt_run(&rt, serve_fiber, &s);
		r = r < 0 ? r : s.result;
		if (o->portmap)
			nfs_portmap_unset();
	}
	fd_cleanup(&s.root);
	fd_cleanup(&s.reply_file);
	fd_cleanup(&s.listening);
	s.rules = rule_set_unref(s.rules);
	secret_wipe(&s.secrets, sizeof(s.secrets));
	return err_trace(r);
}
