/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The conversation with the daemon. A dispatch runs at most once: if the daemon, restarted, hands
 * out the one that was just done, the stored result is sent again instead.
 */
#include "tools/aegis-bootstrap/agent.h"
#include "tools/aegis-bootstrap/call.h"
#include "tools/aegis-bootstrap/http_reply.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	/* Each byte of an output may need six in JSON, and there are other fields. */
	REQUEST_BYTES_MAX = 6 * LIMIT_DISPATCH_OUTPUT_BYTES + 64 * 1024,
	PROGRAM_OUTPUT_BYTES = 1024 * 1024,
	LAST_WORDS_BYTES = 4096,
	NFS_MAGIC = 0x6969,
};

/* ---- environment ---- */

static size_t name_bytes(const char *assignment)
{
	return strcspn(assignment, "=");
}

static void env_put(char **list, size_t *count, char *assignment)
{
	size_t n = name_bytes(assignment);

	for (size_t i = 0; i < *count; i++)
		if (name_bytes(list[i]) == n && strncmp(list[i], assignment, n) == 0) {
			list[i] = assignment;
			return;
		}
	list[(*count)++] = assignment;
}

int env_merge(char *const *base, char *const *additions, char ***ret)
{
	size_t count = 0, max = 1;

	for (char *const *e = base; *e; e++)
		max++;
	for (char *const *e = additions; *e; e++)
		max++;
	char **list = calloc(max, sizeof(*list));
	if (!list)
		return err_raise(-ENOMEM, "environment");
	for (char *const *e = base; *e; e++)
		env_put(list, &count, *e);
	for (char *const *e = additions; *e; e++)
		env_put(list, &count, *e);
	*ret = list;
	return 0;
}

const char *env_get(char *const *envp, const char *name, const char *otherwise)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return otherwise;
}

/* ---- one call ---- */

/* Written data must land before the result is reported, or the daemon's own file tools would not
 * see it (decisions, [23]). On a local file system they see it anyway, and syncfs would flush the
 * whole disk of the host. */
static int sync_workspace(void)
{
	struct statfs fs;
	AUTO_FD fd = open("/workspace", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != NFS_MAGIC)
		return 0;
	return syncfs(fd) < 0 ? -errno : 0;
}

static void put_result(struct call_result *r, size_t max, struct result *ret)
{
	size_t out, err;
	int x = sync_workspace();

	if (x < 0) {
		char text[128];
		snprintf(text, sizeof(text), "\n[AEGIS] /workspace could not be written back: %s",
			strerror(-x));
		if (tail_put(&r->err, span_cstr(text)) < 0)
			err_clear();
	}
	tail_share(&r->out, &r->err, max, &out, &err);
	*ret = (struct result){.exit_code = r->exit_code,
		.out = tail_view(&r->out, out),
		.err = tail_view(&r->err, err),
		.duration_ms = r->duration_ms,
		.truncated = r->truncated};
}

static int dispatch_exec(struct agent *a, const struct dispatch *d, struct buf *b)
{
	struct call_cgroup *g = a->control ? control_find_call(a->control, d->id) : NULL;
	struct call_result r = {0};
	struct result result;
	char **envp = NULL;

	if (a->control && !g) {
		result = (struct result){
			.exit_code = -1, .err = SPAN("[AEGIS] the call has no cgroup to run in")};
		write_dispatch_result(b, &a->speaker, d->id, &result);
		return err_trace(buf_error(b));
	}
	int x = env_merge(a->envp, d->env, &envp);
	if (x < 0)
		return err_trace(x);
	struct call_spec spec = {.argv = d->argv,
		.envp = envp,
		.cwd = d->cwd,
		.procs_fd = g ? g->procs : -1,
		.kill_fd = g ? g->kill : -1,
		.timeout_ms = d->timeout_ms,
		.output_max = d->output_max,
		.background = d->background};
	x = call_run(a->loop, a->reaper, &spec, &r);
	free(envp);
	if (x == 0) {
		put_result(&r, d->output_max, &result);
		write_dispatch_result(b, &a->speaker, d->id, &result);
		x = buf_error(b);
	}
	call_result_fini(&r);
	return err_trace(x);
}

/* The result of a dispatch that cannot be run, as upstream words it. */
static int dispatch_refuse(struct agent *a, const struct reply *reply, struct buf *b)
{
	struct buf text CLEANUP(buf_fini) = buf_init(4096);

	if (reply->kind == REPLY_UNKNOWN_ACTION)
		buf_printf(&text, "unknown_action:" SPAN_FMT,
			SPAN_ARG(span_sub(reply->dispatch.action, 0, 1024)));
	else
		buf_printf(&text, "bad_dispatch: %s", reply->problem);
	struct result result = {.exit_code = -1, .err = buf_view(&text)};
	write_dispatch_result(b, &a->speaker, reply->dispatch.id, &result);
	return err_trace(buf_error(b));
}

/* ---- the conversation ---- */

/* Posts and reads the answer. An HTTP error is final, as upstream: the daemon repeats what is
 * worth repeating by itself. */
static int ask(struct agent *a, struct span body, struct arena *arena, struct reply *ret)
{
	struct buf answer CLEANUP(buf_fini) = buf_init(LIMIT_REPLY_BODY_BYTES);
	int status;
	int r = gateway_post(&a->gateway, body, &status, &answer);

	if (r < 0)
		return err_trace(r);
	if (status != 200)
		return err_raise(-EPROTO, "Orchestrator returned HTTP %d: " SPAN_FMT, status,
			SPAN_ARG(span_sub(buf_view(&answer), 0, 400)));
	return err_trace(reply_parse(arena, buf_view(&answer), ret));
}

static int print_content(struct span content)
{
	/* The log takes what it can hold; the daemon has the answer already. */
	if (fwrite(content.p ? content.p : "", 1, content.n, stdout) == content.n)
		putchar('\n');
	fflush(stdout);
	return 0;
}

/* The next request: the result of this dispatch. `last` is the id that `b` answers now. */
static int answer_dispatch(struct agent *a, const struct reply *reply, struct buf *b, char **last)
{
	const struct dispatch *d = &reply->dispatch;

	if (*last && span_is(d->id, *last))
		return 0;
	free(*last);
	if (!(*last = span_dup(d->id)))
		return err_raise(-ENOMEM, "dispatch");
	buf_reset(b);
	if (reply->kind != REPLY_DISPATCH)
		return err_trace(dispatch_refuse(a, reply, b));
	return err_trace(dispatch_exec(a, d, b));
}

int agent_generate(struct agent *a, const char *prompt)
{
	struct buf request CLEANUP(buf_fini) = buf_init(REQUEST_BYTES_MAX);
	char *last = NULL;
	int r;

	write_generate(&request, &a->speaker, prompt);
	r = buf_error(&request);
	while (r == 0) {
		struct arena *arena CLEANUP(arena_cleanup) = arena_new(LIMIT_REPLY_ARENA_BYTES);
		struct reply reply;
		if (!arena) {
			r = err_raise(-ENOMEM, "reply");
			break;
		}
		r = ask(a, buf_view(&request), arena, &reply);
		if (r == 0 && reply.kind == REPLY_FINAL) {
			r = print_content(reply.content);
			break;
		}
		if (r == 0)
			r = answer_dispatch(a, &reply, &request, &last);
		if (r == 0 && a->reaper->stop_signal)
			r = err_raise(-ECANCELED, "told to stop");
	}
	free(last);
	return err_trace(r);
}

struct call_spec agent_program_spec(char *const *argv, char *const *envp, const char *cwd)
{
	return (struct call_spec){.argv = argv,
		.envp = envp,
		.cwd = cwd,
		.procs_fd = -1,
		.kill_fd = -1,
		.timeout_ms = INT64_MAX,
		.output_max = PROGRAM_OUTPUT_BYTES};
}

/* Reports how the program ended. */
static int report(struct agent *a, struct call_result *r)
{
	struct buf request CLEANUP(buf_fini) = buf_init(REQUEST_BYTES_MAX);
	struct buf answer CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct result result;
	int status;

	put_result(r, PROGRAM_OUTPUT_BYTES, &result);
	write_program_result(&request, &a->speaker, &result);
	int x = buf_error(&request);
	/* An end that was asked for needs no report, and the daemon may not wait for one. */
	if (x == 0 && !a->reaper->stop_signal)
		x = gateway_post(&a->gateway, buf_view(&request), &status, &answer);
	return x == 0 ? r->exit_code & 0xff : err_trace(x);
}

int agent_program(struct agent *a, char *const *argv)
{
	const char *cwd = access("/workspace", X_OK) == 0 ? "/workspace" : "/";
	struct call_spec spec = agent_program_spec(argv, a->envp, cwd);
	struct call_result r = {0};
	int x = call_run(a->loop, a->reaper, &spec, &r);

	if (x == 0)
		x = report(a, &r);
	call_result_fini(&r);
	return err_trace(x);
}

/* Of a program that speaks over its standard input and output: the log alone hears of its end. */
static int last_words(struct call_result *r)
{
	size_t out, err;

	tail_share(&r->out, &r->err, LAST_WORDS_BYTES, &out, &err);
	struct span words = tail_view(&r->err, err);
	/* The log takes what it can hold. */
	if (words.n && fwrite(words.p, 1, words.n, stderr) == words.n)
		fputc('\n', stderr);
	return r->exit_code & 0xff;
}

int agent_program_started(struct agent *a, struct call_waiting *w)
{
	struct call_result r = {0};
	int x = call_run_waiting(a->loop, a->reaper, w, &r);

	if (x == 0)
		x = w->spec.stdio_fd ? last_words(&r) : report(a, &r);
	call_result_fini(&r);
	return err_trace(x);
}
