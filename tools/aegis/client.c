/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * libcurl does HTTP; here are the two doors, the key, and what a refusal means for the exit code.
 * Environment proxies are not used: the daemon is this machine's.
 */
#include "tools/aegis/client.h"
#include "daemon/config/config.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct client {
	CURL *curl;
	char *socket_path; /* NULL: the network door */
	char *base; /* "http://127.0.0.1:8088" */
	char *authority; /* file of certificates to trust instead of the host's; NULL */
	char *door; /* for messages */
	struct secret *key; /* NULL: none found */
};

struct client *client_close(struct client *c)
{
	if (!c)
		return NULL;
	curl_easy_cleanup(c->curl);
	free(c->socket_path);
	free(c->base);
	free(c->authority);
	free(c->door);
	secret_free(c->key);
	free(c);
	return NULL;
}

void client_cleanup(struct client **c)
{
	*c = client_close(*c);
}

const char *client_door(const struct client *c)
{
	return c->door;
}

/* ---- which door ---- */

static int load_config(const struct cli *c, const struct config **ret)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct config_search *search = calloc(1, sizeof(*search));
	struct report report;
	const struct config_environment env = {.may_be_unset = true};
	const char *path = NULL;
	int r = a && search ? report_init(&report, a, "configuration") : -ENOMEM;
	if (r == 0)
		r = config_discover(c->config, NULL, search, &path);
	if (r == CONFIG_NOT_FOUND)
		r = cli_fail(CLI_NOT_FOUND, "%s", err_message(-ENOENT));
	else if (r == 0)
		r = path ? config_load(path, &env, &report, ret) : config_default(&env, ret);
	if (r == CONFIG_INVALID && path)
		r = cli_fail(CLI_INVALID, "%s is not valid; see: aegis config validate", path);
	free(search);
	return r < 0 ? cli_fail_errno(r) : r;
}

/* The key is there only for those who may read it; without it the daemon says 401. */
static void read_key(struct client *c, const struct config *config)
{
	char *path = config_api_key_path(config);
	struct buf text CLEANUP(buf_fini) = buf_init(4096);
	if (path && fd_read_file(path, &text) == 0)
		c->key = secret_new(span_trim(buf_view(&text)));
	err_clear();
	secret_wipe(text.data, text.len);
	free(path);
}

/* The node's own certificate is the one to expect, whoever signed it. Where it cannot be read the
 * host's authorities decide. */
static char *authority_of(const struct config *config)
{
	const struct config_tls *t = config->network.tls;
	return t && t->enabled && access(t->cert_path, R_OK) == 0 ? strdup(t->cert_path) : NULL;
}

static int network_door(struct client *c, const struct cli *cli, const struct config *config)
{
	const char *scheme = config->network.tls && config->network.tls->enabled ? "https" : "http";
	const char *host = cli->host ? cli->host : "127.0.0.1";
	bool v6 = strchr(host, ':') && *host != '[';
	char port[24];
	snprintf(port, sizeof(port), "%lld", (long long)config->network.port);
	if (asprintf(&c->base, "%s://%s%s%s:%s", scheme, v6 ? "[" : "", host, v6 ? "]" : "",
		    cli->port ? cli->port : port) < 0)
		return -ENOMEM;
	c->door = strdup(c->base);
	c->authority = authority_of(config);
	read_key(c, config);
	return c->door ? 0 : -ENOMEM;
}

static int unix_door(struct client *c, const struct config *config)
{
	c->socket_path = config_socket_path(config);
	c->base = strdup("http://localhost");
	if (!c->socket_path || !c->base || asprintf(&c->door, "unix:%s", c->socket_path) < 0)
		return -ENOMEM;
	return 0;
}

int client_open(const struct cli *cli, struct client **ret)
{
	struct client *c CLEANUP(client_cleanup) = calloc(1, sizeof(*c));
	const struct config *config = NULL;
	int code = load_config(cli, &config);
	if (code)
		return code;
	int r = -ENOMEM;
	if (c && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		c->curl = curl_easy_init();
	if (c && c->curl)
		r = cli->host || cli->port ? network_door(c, cli, config) : unix_door(c, config);
	config_unref(config);
	if (r < 0)
		return cli_fail_errno(r);
	*ret = TAKE_PTR(c);
	return CLI_OK;
}

/* ---- one request ---- */

struct transfer {
	struct client *client;
	const struct client_request *request;
	struct buf body;
	bool ended; /* on_data has seen enough */
};

static long status_of(const struct transfer *t)
{
	long status = 0;
	curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	size_t n = size * count;
	if (t->request->on_data && status_of(t) < 400) {
		t->ended = t->request->on_data(t->request->ctx, span_of(data, n)) != 0;
		return t->ended ? 0 : n;
	}
	buf_put(&t->body, data, n);
	return t->body.error ? 0 : n;
}

static struct curl_slist *headers_of(const struct client *c, const struct client_request *q)
{
	struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
	char line[4200];
	if (q->content_type) {
		snprintf(line, sizeof(line), "Content-Type: %s", q->content_type);
		list = curl_slist_append(list, line);
	}
	if (c->key) {
		struct span key = secret_reveal(c->key);
		snprintf(line, sizeof(line), "Authorization: Bearer " SPAN_FMT, SPAN_ARG(key));
		list = curl_slist_append(list, line);
		secret_wipe(line, sizeof(line));
	}
	if (q->last_event_id) {
		snprintf(line, sizeof(line), "Last-Event-ID: %s", q->last_event_id);
		list = curl_slist_append(list, line);
	}
	return curl_slist_append(list, "Expect:");
}

static void prepare(struct client *c, struct transfer *t, const char *url, struct curl_slist *list)
{
	const struct client_request *q = t->request;
	curl_easy_reset(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	if (c->authority)
		curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->authority);
	curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, t);
	if (c->socket_path)
		curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket_path);
	if (q->body.n || strcmp(q->method, "POST") == 0) {
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
		curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, q->body.p ? q->body.p : "");
		curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, q->method);
	}
}

static int failure(const struct transfer *t, CURLcode code)
{
	const char *door = t->client->door, *why = curl_easy_strerror(code);
	if (t->request->quiet_if_away)
		return CLI_UNREACHABLE;
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		return cli_fail(CLI_UNREACHABLE,
			"the daemon does not answer at %s: %s; is it running? (aegis daemon start)",
			door, why);
	return cli_fail(CLI_UNREACHABLE, "%s: %s", door, why);
}

/* ---- replies ---- */

static enum cli_exit exit_of(long status)
{
	switch (status) {
	case 401:
	case 403:
		return CLI_DENIED;
	case 404:
	case 410:
		return CLI_NOT_FOUND;
	case 400:
	case 413:
	case 415:
	case 422:
		return CLI_INVALID;
	case 409:
		return CLI_CONFLICT;
	case 502:
	case 503:
	case 504:
		return CLI_UNREACHABLE;
	default:
		return CLI_INTERNAL;
	}
}

/* {"error":"..."}, {"error":{"message":"..."}} and {"message":"..."} are all in use. */
static struct span message_of(const struct json *v)
{
	const struct json *error = json_get(v, "error");
	if (error && error->type == JSON_STRING)
		return error->text;
	if (error)
		return json_str(error, "message", SPAN(""));
	return json_str(v, "message", SPAN(""));
}

static int refusal(long status, const struct json *v, struct span body)
{
	struct span message = v ? message_of(v) : span_sub(span_trim(body), 0, 500);
	if (message.n)
		return cli_fail(exit_of(status), SPAN_FMT, SPAN_ARG(message));
	return cli_fail(exit_of(status), "the daemon answered with status %ld", status);
}

static int finish(struct transfer *t, struct arena *a, const struct json **ret)
{
	long status = status_of(t);
	struct span body = buf_view(&t->body);
	const struct json *v = NULL;
	int r = span_trim(body).n ? json_parse(a, body, NULL, &v) : 0;
	err_clear();
	if (status >= 400)
		return refusal(status, v, body);
	if (r < 0)
		return cli_fail(CLI_INTERNAL, "%s answered with something that is not JSON",
			t->client->door);
	*ret = v;
	return CLI_OK;
}

int client_call(
	struct client *c, const struct client_request *q, struct arena *a, const struct json **ret)
{
	struct transfer t = {.client = c, .request = q, .body = buf_init(LIMIT_JSON_BYTES)};
	struct curl_slist *list = headers_of(c, q);
	char *url = NULL;
	*ret = NULL;
	int code = CLI_INTERNAL;
	if (asprintf(&url, "%s%s", c->base, q->path) < 0) {
		url = NULL;
		code = cli_fail(CLI_INTERNAL, "no memory for a request");
	} else {
		prepare(c, &t, url, list);
		CURLcode result = curl_easy_perform(c->curl);
		code = result == CURLE_OK || t.ended ? finish(&t, a, ret) : failure(&t, result);
	}
	curl_slist_free_all(list);
	buf_fini(&t.body);
	free(url);
	return code;
}

void client_put_segment(struct buf *b, const char *segment)
{
	for (; *segment; segment++) {
		char l = (char)(*segment | 0x20);
		if ((l >= 'a' && l <= 'z') || (*segment >= '0' && *segment <= '9') ||
			strchr("-._~", *segment))
			buf_putc(b, *segment);
		else
			buf_printf(b, "%%%02X", (unsigned char)*segment);
	}
}
