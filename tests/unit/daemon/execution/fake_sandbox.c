/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/execution/fake_sandbox.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fake_driver {
	struct sandbox_driver base;
	struct fake_host *host;
};
struct fake_sandbox {
	struct sandbox base;
	struct box *box;
};

void host_init(struct fake_host *h, const char *dir)
{
	*h = (struct fake_host){.next_id = 1};
	snprintf(h->dir, sizeof(h->dir), "%s", dir);
	list_init(&h->boxes);
}

static void box_free(struct box *b)
{
	group_close(&b->group);
	list_remove(&b->link);
	rt_close(b->listener);
	unlink(b->path);
	free(b->prompt);
	free(b->history);
	free(b);
}

void host_fini(struct fake_host *h)
{
	list_for_each_safe (node, &h->boxes) {
		struct box *b = list_entry(node, struct box, link);
		box_kill(b, 9);
		box_free(b);
	}
}

void host_forget(struct fake_host *h)
{
	host_fini(h);
}

void box_orphan(struct fake_host *h)
{
	struct box *b = calloc(1, sizeof(*b));
	b->host = h;
	b->id = h->next_id++;
	b->execution = uuid_new();
	b->iteration = 1;
	b->listener = -1;
	b->alive = true;
	waitq_init(&b->ended);
	waitq_init(&b->killed);
	group_init(&b->group);
	list_push_back(&h->boxes, &b->link);
}

int host_boxes(const struct fake_host *h)
{
	int n = 0;
	list_for_each (node, &h->boxes) {
		n++;
	}
	return n;
}

int host_alive(const struct fake_host *h)
{
	int n = 0;
	list_for_each (node, &h->boxes) {
		n += list_entry(node, struct box, link)->alive;
	}
	return n;
}

struct box *host_box(struct fake_host *h)
{
	return list_empty(&h->boxes) ? NULL : list_entry(h->boxes.prev, struct box, link);
}

static void box_end(struct box *b, enum sandbox_end how, int status)
{
	if (!b->alive)
		return;
	b->alive = false;
	b->ending = (struct sandbox_ending){.how = how, .status = status};
	waitq_wake_all(&b->ended);
}

void box_kill(struct box *b, int signal)
{
	box_end(b, SANDBOX_END_KILLED, signal);
	group_cancel(&b->group);
}

/* ---- the agent ---- */

/* Says it until it is answered, under one request id, as aegis-bootstrap does. */
static int say(struct box *b, struct http_client *c, struct arena *a, struct span body,
	int *ret_status, const struct json **ret)
{
	char id[UUID_TEXT_BYTES];
	uuid_text(uuid_new(), id);
	struct http_header headers[] = {{SPAN("X-Aegis-Request-Id"), span_cstr(id)},
		{SPAN("Content-Type"), SPAN("application/json")}};
	struct http_call call = {.url = "http://localhost/v1/dispatch-gateway",
		.unix_path = b->path,
		.headers = headers,
		.header_count = 2,
		.body = body,
		.deadline_ns = DEADLINE_NONE};
	struct http_answer *answer;
	for (;;) {
		int r = http_call(c, a, &call, &answer);
		if (r == -ECANCELED)
			return r;
		if (r == 0)
			break;
		err_clear();
		r = rt_sleep_until(deadline_in_ms(5));
		if (r < 0)
			return r;
	}
	*ret_status = answer->status;
	return json_parse(a, answer->body, NULL, ret);
}

static bool was_run(struct box *b, struct span id)
{
	for (int i = 0; i < b->commands && i < 16; i++)
		if (span_is(id, b->seen[i]))
			return true;
	return false;
}

static void put_ids(struct box *b, struct json_writer *w)
{
	char id[UUID_TEXT_BYTES];
	uuid_text(b->execution, id);
	json_field_cstr(w, "execution_id", id);
	json_field_i64(w, "iteration_number", b->iteration);
}

static int run_command(struct box *b, const struct json *dispatch, struct buf *body)
{
	struct span id = json_str(dispatch, "dispatch_id", SPAN(""));
	struct json_writer w = json_writer(body);
	struct buf out CLEANUP(buf_fini) = buf_init(1 << 20);

	if (!was_run(b, id)) {
		int64_t until_ns = deadline_in_ms(b->host->command_ms);
		int r = b->host->command_ms ? waitq_wait(&b->killed, until_ns) : 0;
		if (r < 0 && r != -ETIME)
			return r;
		snprintf(b->seen[b->commands % 16], 37, "%.*s", (int)id.n, id.p);
		b->commands++;
		b->host->ran++;
	}
	EXPECT(b->open_calls > 0);
	buf_puts(&out, "ran ");
	buf_span(&out, json_str(dispatch, "command", SPAN("?")));
	json_for_each (arg, json_get(dispatch, "args")) {
		buf_putc(&out, ' ');
		buf_span(&out, arg->text);
	}
	buf_reset(body);
	w = json_writer(body);
	json_object(&w);
	json_field_cstr(&w, "type", "dispatch_result");
	put_ids(b, &w);
	json_field_span(&w, "dispatch_id", id);
	json_field_i64(&w, "exit_code", 0);
	json_field_span(&w, "stdout", buf_view(&out));
	json_field_cstr(&w, "stderr", "");
	json_field_i64(&w, "duration_ms", 1);
	json_field_bool(&w, "truncated", false);
	json_end(&w);
	return 0;
}

static void first_words(struct box *b, struct buf *body)
{
	struct json_writer w = json_writer(body);
	json_object(&w);
	put_ids(b, &w);
	if (b->host->program_output) {
		json_field_cstr(&w, "type", "program_result");
		json_field_i64(&w, "exit_code", b->host->program_exit);
		json_field_cstr(&w, "stdout", b->host->program_output);
		json_field_cstr(&w, "stderr", "");
	} else {
		json_field_cstr(&w, "type", "generate");
		json_field_cstr(&w, "prompt", b->prompt);
		json_field_cstr(&w, "model_alias", "default");
		json_key(&w, "messages");
		json_array(&w);
		json_end(&w);
	}
	json_end(&w);
}

static int converse(struct box *b, struct http_client *c)
{
	struct buf body CLEANUP(buf_fini) = buf_init(16 << 20);
	first_words(b, &body);
	for (;;) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(64 << 20);
		const struct json *reply;
		int status;
		int r = say(b, c, a, buf_view(&body), &status, &reply);
		if (r < 0)
			return r;
		if (status != 200)
			return 1;
		if (!span_is(json_str(reply, "type", SPAN("")), "dispatch"))
			return 0;
		r = run_command(b, reply, &body);
		if (r < 0)
			return r;
	}
}

static void agent(void *arg)
{
	struct box *b = arg;
	struct http_client *c = NULL;
	int r = 0;

	if (b->host->mute) {
		r = rt_sleep_until(DEADLINE_NONE);
	} else if (b->host->ends_without_answer) {
		r = 7;
	} else {
		r = http_client_start(&(struct http_client_options){0}, &c);
		EXPECT_INT(r, 0);
		r = r < 0 ? 1 : converse(b, c);
		if (r >= 0 && b->host->linger_ms &&
			rt_sleep_until(deadline_in_ms(b->host->linger_ms)) < 0)
			r = -ECANCELED;
		if (b->host->program_output && r == 0)
			r = b->host->program_exit;
	}
	fiber_shield_begin();
	if (c)
		http_client_stop(c);
	fiber_shield_end();
	err_clear();
	if (r >= 0)
		box_end(b, SANDBOX_END_EXITED, r);
}

/* ---- operations ---- */

static struct fake_host *host_of(struct sandbox_driver *d)
{
	return ((struct fake_driver *)d)->host;
}

static struct box *box_of(struct sandbox *s)
{
	return ((struct fake_sandbox *)s)->box;
}

static struct sandbox *handle(struct sandbox_driver *d, struct box *b)
{
	struct fake_sandbox *s = calloc(1, sizeof(*s));
	s->box = b;
	s->base = (struct sandbox){.driver = d,
		.state = b->alive ? SANDBOX_RUNNING : SANDBOX_ENDED,
		.execution = b->execution,
		.iteration = b->iteration,
		.id = b->id,
		.identity = 1000 + b->id,
		.listener = b->alive ? fcntl(b->listener, F_DUPFD_CLOEXEC, 0) : -1,
		.log = -1};
	return &s->base;
}

static int box_listen(struct box *b)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", b->path);
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(b->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return listen(b->listener, 16) < 0 ? -errno : 0;
}

static int op_start(struct sandbox_driver *d, const struct sandbox_spec *spec, struct sandbox **ret,
	int64_t deadline_ns)
{
	struct fake_host *h = host_of(d);
	if (h->start_delay_ms) {
		int r = rt_sleep_until(
			deadline_earlier(deadline_ns, deadline_in_ms(h->start_delay_ms)));
		if (r < 0)
			return r;
	}
	if (h->start_error)
		return err_raise(h->start_error, "language 'python': none is installed");
	struct box *b = calloc(1, sizeof(*b));
	b->host = h;
	b->id = h->next_id++;
	b->execution = spec->execution;
	b->iteration = spec->iteration;
	b->prompt = strdup(spec->prompt);
	for (char *const *e = spec->env; *e; e++)
		if (strncmp(*e, "AEGIS_ITERATION_HISTORY=", 24) == 0)
			b->history = strdup(*e + 24);
	b->alive = true;
	waitq_init(&b->ended);
	waitq_init(&b->killed);
	group_init(&b->group);
	list_push_back(&h->boxes, &b->link);
	snprintf(b->path, sizeof(b->path), "%s/box-%llu.sock", h->dir, (unsigned long long)b->id);
	EXPECT_INT(box_listen(b), 0);
	h->started++;
	EXPECT_INT(group_spawn(&b->group, "agent", FIBER_LARGE, agent, b), 0);
	*ret = handle(d, b);
	return 0;
}

static int op_list(struct sandbox_driver *d, struct sandbox_entry **ret, size_t *ret_count,
	int64_t deadline_ns)
{
	struct fake_host *h = host_of(d);
	struct sandbox_entry *list = calloc((size_t)host_boxes(h) + 1, sizeof(*list));
	*ret_count = 0;
	list_for_each (node, &h->boxes) {
		struct box *b = list_entry(node, struct box, link);
		list[(*ret_count)++] =
			(struct sandbox_entry){b->id, b->execution, b->iteration, b->alive};
	}
	*ret = list;
	return 0;
}

static int op_adopt(struct sandbox_driver *d, const struct sandbox_entry *e, struct sandbox **ret,
	int64_t deadline_ns)
{
	list_for_each (node, &host_of(d)->boxes) {
		struct box *b = list_entry(node, struct box, link);
		if (b->id != e->id)
			continue;
		*ret = handle(d, b);
		return 0;
	}
	return err_raise(-ENOENT, "no such sandbox");
}

static int op_call_open(
	struct sandbox *s, struct uuid call, uint64_t *ret_identity, int64_t deadline_ns)
{
	struct box *b = box_of(s);
	int64_t delay_ms = b->host->call_open_ms;
	int r = delay_ms ? rt_sleep_until(deadline_earlier(deadline_ns, deadline_in_ms(delay_ms)))
			 : 0;
	if (r < 0)
		return r;
	if (!b->alive)
		return err_raise(-ESRCH, "the box has ended");
	b->open_calls++;
	memcpy(ret_identity, call.bytes, sizeof(*ret_identity));
	return 0;
}

static int op_call_close(struct sandbox *s, struct uuid call, bool keep_rest,
	struct sandbox_usage *ret, int64_t deadline_ns)
{
	struct box *b = box_of(s);

	*ret = (struct sandbox_usage){0};
	b->host->closed++;
	b->host->killed += !keep_rest;
	if (!keep_rest)
		waitq_wake_all(&b->killed);
	return 0;
}

static int op_call_set_rules(struct sandbox *s, struct uuid call, uint64_t identity,
	const struct sandbox_call_rules *rules, int64_t deadline_ns)
{
	struct fake_host *h = box_of(s)->host;

	if (h->rules_error)
		return err_raise(h->rules_error, "the kernel's table is full");
	h->ruled++;
	h->rules = (struct fake_rules){.call = call,
		.identity = identity,
		.lasts_ms = rules->lasts_ms,
		.own = rules->own,
		.again = rules->again};
	snprintf(h->rules.program, sizeof(h->rules.program), SPAN_FMT, SPAN_ARG(rules->program));
	return 0;
}

static int op_set_network(struct sandbox *s, const struct kernel_rules *rules, int64_t deadline_ns)
{
	struct fake_host *h = box_of(s)->host;

	if (h->before_rules)
		h->before_rules();
	return 0;
}

static int op_stop(struct sandbox *s, enum sandbox_stop_how how, int64_t deadline_ns)
{
	struct box *b = box_of(s);
	b->host->terms += how == SANDBOX_TERMINATE;
	if (how == SANDBOX_KILL) {
		box_kill(b, 9);
	} else if (!b->host->stubborn) {
		box_end(b, SANDBOX_END_EXITED, 143);
		group_cancel(&b->group);
	}
	return 0;
}

static int op_wait(struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns)
{
	struct box *b = box_of(s);
	while (b->alive) {
		int r = waitq_wait(&b->ended, deadline_ns);
		if (r < 0)
			return r;
	}
	*ret = b->ending;
	return 0;
}

static int op_release(struct sandbox *s, int64_t deadline_ns)
{
	box_free(box_of(s));
	return 0;
}

static int op_workspace_open(
	struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns)
{
	char id[UUID_TEXT_BYTES], path[256];
	uuid_text(execution, id);
	snprintf(path, sizeof(path), "%s/ws-%s", host_of(d)->dir, id);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static int op_workspace_remove(struct sandbox_driver *d, struct uuid execution, int64_t deadline_ns)
{
	char id[UUID_TEXT_BYTES], path[256];
	uuid_text(execution, id);
	snprintf(path, sizeof(path), "%s/ws-%s", host_of(d)->dir, id);
	return rmdir(path) < 0 && errno != ENOENT ? err_sys(-errno, "workspace") : 0;
}

static void op_forget(struct sandbox *s)
{
	rt_close(s->listener);
	free(s);
}

static void op_close(struct sandbox_driver *d)
{
	free(d);
}

static const struct sandbox_ops ops = {"fake", op_start, op_list, op_adopt, op_call_open,
	op_call_close, op_stop, op_wait, op_release, op_workspace_open, op_workspace_remove,
	op_forget, op_close, .set_network = op_set_network, .call_set_rules = op_call_set_rules};

int fake_driver_open(struct fake_host *h, struct sandbox_driver **ret)
{
	struct fake_driver *d = calloc(1, sizeof(*d));
	d->base.ops = &ops;
	d->host = h;
	*ret = &d->base;
	return 0;
}
