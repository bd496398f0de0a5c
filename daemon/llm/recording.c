/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Recorded conversations: one JSON object a line, {"key", "messages", "reply"}. The key is the hash
 * of the messages, tool results included, so a replay goes exactly as far as the world answers as
 * it did; the messages stand there so that a miss can say what differs.
 */
#include "daemon/llm/internal.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY_TEXT_BYTES = 64, EXCERPT_BEFORE = 60, EXCERPT_BYTES = 200 };

struct recorded_turn {
	struct span key;
	const struct json *messages;
	const struct json *reply;
	uint64_t plays;
};

struct recording {
	char *path;
	struct arena *arena;
	struct recorded_turn *turns;
	size_t count;
};

static int messages_text(const struct llm_request *q, struct buf *b)
{
	struct json_writer w = json_writer(b);
	json_array(&w);
	for (size_t i = 0; i < q->message_count; i++)
		llm_message_put(&w, &q->messages[i]);
	json_end(&w);
	return err_trace(buf_error(b));
}

static void key_of(struct span messages, char ret[KEY_TEXT_BYTES + 1])
{
	struct buf hex CLEANUP(buf_fini) = buf_init(KEY_TEXT_BYTES + 1);
	uint8_t digest[KEY_TEXT_BYTES / 2];
	crypto_generichash(
		digest, sizeof(digest), (const uint8_t *)messages.p, messages.n, NULL, 0);
	hex_encode(&hex, span_of(digest, sizeof(digest)));
	CHECK(hex.len == KEY_TEXT_BYTES);
	memcpy(ret, hex.data, KEY_TEXT_BYTES);
	ret[KEY_TEXT_BYTES] = '\0';
}

/* ---- writing ---- */

int recording_open(const char *path, int *ret_fd)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(-errno, "open recording '%s'", path);
	*ret_fd = fd;
	return 0;
}

int recording_add(int fd, const struct llm_turn *t)
{
	struct buf messages CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REQUEST_BYTES);
	struct buf line CLEANUP(buf_fini) =
		buf_init(LIMIT_LLM_REQUEST_BYTES + LIMIT_LLM_REPLY_BYTES);
	struct json_writer w = json_writer(&line);
	char key[KEY_TEXT_BYTES + 1];
	int r = messages_text(t->q, &messages);
	if (r < 0)
		return err_trace(r);
	key_of(buf_view(&messages), key);
	json_object(&w);
	json_field_cstr(&w, "key", key);
	json_key(&w, "messages");
	json_put_raw(&w, buf_view(&messages));
	json_key(&w, "reply");
	json_object(&w);
	json_key(&w, "message");
	llm_message_put(&w, &t->reply->message);
	json_field_span(&w, "model", t->reply->model);
	json_field_span(&w, "finish_reason", t->reply->finish_reason);
	json_field_i64(&w, "prompt_tokens", t->reply->prompt_tokens);
	json_field_i64(&w, "completion_tokens", t->reply->completion_tokens);
	json_end(&w);
	json_end(&w);
	buf_putc(&line, '\n');
	r = buf_error(&line);
	if (r < 0)
		return err_trace(r);
	/* One write on an O_APPEND descriptor: lines of parallel turns do not mix. */
	ssize_t n = rt_write(fd, line.data, line.len, -1, DEADLINE_NONE);
	return n == (ssize_t)line.len ? 0 : err_raise(n < 0 ? (int)n : -EIO, "write the recording");
}

/* ---- playing back ---- */

static int turn_load(struct recording *rec, struct span line, size_t number)
{
	const struct json *v;
	int r = json_parse(rec->arena, line, NULL, &v);
	if (r < 0)
		return err_wrap(r, "recording '%s' line %zu", rec->path, number);
	struct recorded_turn turn = {
		.key = json_str(v, "key", SPAN("")),
		.messages = json_get(v, "messages"),
		.reply = json_get(v, "reply"),
	};
	bool whole = turn.key.n == KEY_TEXT_BYTES && turn.messages &&
		turn.messages->type == JSON_ARRAY && turn.reply &&
		turn.reply->type == JSON_OBJECT && json_get(turn.reply, "message");
	if (!whole)
		return err_raise(-EINVAL,
			"recording '%s' line %zu: 'key', 'messages' and 'reply' are expected",
			rec->path, number);
	struct recorded_turn *grown = realloc(rec->turns, (rec->count + 1) * sizeof(*grown));
	if (!grown)
		return err_raise(-ENOMEM, "recording: out of memory");
	rec->turns = grown;
	rec->turns[rec->count++] = turn;
	return 0;
}

int recording_load(const char *path, struct recording **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_LLM_RECORDING_BYTES);
	struct recording *rec = calloc(1, sizeof(*rec));
	struct span rest, line;
	bool done = false;
	int r = fd_read_file(path, &text);

	if (r == 0 && rec) {
		rec->path = strdup(path);
		rec->arena = arena_new(8 * (size_t)LIMIT_LLM_RECORDING_BYTES);
	}
	if (r == 0 && (!rec || !rec->path || !rec->arena))
		r = err_raise(-ENOMEM, "recording: out of memory");
	rest = buf_view(&text);
	for (size_t number = 1; r == 0 && span_split(&rest, '\n', &done, &line); number++)
		if (span_trim(line).n)
			r = turn_load(rec, line, number);
	if (r == 0 && rec->count == 0)
		r = err_raise(-EINVAL, "recording '%s' is empty", path);
	if (r < 0) {
		recording_free(rec);
		return err_trace(r);
	}
	*ret = rec;
	return 0;
}

struct recording *recording_free(struct recording *r)
{
	if (!r)
		return NULL;
	arena_free(r->arena);
	free(r->turns);
	free(r->path);
	free(r);
	return NULL;
}

/* How many leading messages of a recorded turn are those of the request. */
static size_t common_messages(const struct json *recorded, const struct json *asked)
{
	size_t n = 0;
	while (n < recorded->count && n < asked->count &&
		json_equal(&recorded->items[n], &asked->items[n]))
		n++;
	return n;
}

/* What of two messages differs, as texts: their content, or else the whole as JSON (other calls of
 * tools, say, with the same content). */
static int differing(const struct json *was, const struct json *is, struct buf *a, struct buf *b)
{
	struct json_writer wa = json_writer(a), wb = json_writer(b);
	struct span old = json_str(was, "content", SPAN("")), new;

	new = json_str(is, "content", SPAN(""));
	if (!span_eq(old, new)) {
		buf_span(a, old);
		buf_span(b, new);
	} else {
		json_put(&wa, was);
		json_put(&wb, is);
	}
	int r = buf_error(a);
	return r < 0 ? err_trace(r) : err_trace(buf_error(b));
}

/* A piece of `text` around byte `at`, which is where it begins to differ. */
static struct span excerpt(struct span text, size_t at)
{
	size_t from = at > EXCERPT_BEFORE ? at - EXCERPT_BEFORE : 0;

	while (from > 0 && from < text.n && ((uint8_t)text.p[from] & 0xc0) == 0x80)
		from--; /* not in the middle of a character */
	return span_sub(text, from, MIN(text.n, from + EXCERPT_BYTES));
}

static int miss_at(const struct recording *rec, struct llm_turn *t, const struct json *was,
	const struct json *is, size_t number)
{
	struct buf a CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REQUEST_BYTES);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REQUEST_BYTES);
	size_t at = 0;
	int r = differing(was, is, &a, &b);

	if (r < 0)
		return err_trace(r);
	while (at < a.len && at < b.len && a.data[at] == b.data[at])
		at++;
	struct span old = excerpt(buf_view(&a), at), new = excerpt(buf_view(&b), at);
	struct span role = json_str(is, "role", SPAN("?"));
	return llm_outcome_because(t, LLM_MISS,
		"recording '%s' has no answer to this conversation: message %zu (" SPAN_FMT
		") differs from byte %zu on; recorded: '%s" SPAN_FMT "'; now: '%s" SPAN_FMT "'",
		rec->path, number, SPAN_ARG(role), at + 1, old.p > a.data ? "..." : "",
		SPAN_ARG(old), new.p > b.data ? "..." : "", SPAN_ARG(new));
}

static int miss(const struct recording *rec, struct llm_turn *t, struct span messages)
{
	const struct json *asked, *best = NULL;
	size_t common = 0;
	int r = json_parse(t->arena, messages, NULL, &asked);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < rec->count; i++) {
		size_t n = common_messages(rec->turns[i].messages, asked);
		if (!best || n > common) {
			common = n;
			best = rec->turns[i].messages;
		}
	}
	if (best && common < best->count && common < asked->count)
		return err_trace(
			miss_at(rec, t, &best->items[common], &asked->items[common], common + 1));
	return llm_outcome_because(t, LLM_MISS,
		"recording '%s' has no answer to this conversation: it has %zu messages, and the "
		"recorded turn that is nearest %zu; the first %zu are the same",
		rec->path, asked->count, best ? best->count : 0, common);
}

/* Of several answers to one conversation the least played one: they come in the order recorded. */
static struct recorded_turn *find(struct recording *rec, const char *key)
{
	struct recorded_turn *found = NULL;
	for (size_t i = 0; i < rec->count; i++)
		if (span_is(rec->turns[i].key, key) &&
			(!found || rec->turns[i].plays < found->plays))
			found = &rec->turns[i];
	return found;
}

int replay_turn(struct provider *p, struct llm_turn *t)
{
	struct buf messages CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REQUEST_BYTES);
	char key[KEY_TEXT_BYTES + 1];
	int r = messages_text(t->q, &messages);
	if (r < 0)
		return err_trace(r);
	key_of(buf_view(&messages), key);
	struct recorded_turn *turn = find(p->replay, key);
	if (!turn)
		return miss(p->replay, t, buf_view(&messages));
	/* Played on any worker: a lost count only repeats an answer. */
	__atomic_add_fetch(&turn->plays, 1, __ATOMIC_RELAXED);
	r = llm_message_get(t->arena, json_get(turn->reply, "message"), &t->reply->message);
	if (r < 0)
		return err_wrap(r, "recording '%s'", p->replay->path);
	t->reply->model = json_str(turn->reply, "model", SPAN(""));
	t->reply->finish_reason = json_str(turn->reply, "finish_reason", SPAN("stop"));
	t->reply->prompt_tokens = json_i64(turn->reply, "prompt_tokens", -1);
	t->reply->completion_tokens = json_i64(turn->reply, "completion_tokens", -1);
	t->reply->replayed = true;
	if (t->on_text && t->reply->message.content.n)
		t->on_text(t->on_text_ctx, t->reply->message.content);
	return 0;
}
