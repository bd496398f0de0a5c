/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The sandbox's side of the DNS proxy. Each question has a fiber; there are at most
 * LIMIT_RESOLVER_IN_FLIGHT of them, and a question that finds no room is passed over, as UDP
 * allows.
 */
#include "daemon/sensor/resolver_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { IDLE_MS = 10000, SEND_MS = 5000, REPLY_BYTES_MAX = 4096, NS_PER_QUESTION = 1000000000 };

struct resolver {
	struct sensor_agent *agent;
	struct resolver_options options;
	struct group group;
	int udp;
	struct listener *listener;
	int in_flight;
	int connections;
	int64_t allowance_ns; /* time in hand; a question costs a part of a second */
	int64_t counted_ns;
};

/* ---- one question ---- */

static bool take_from_allowance(struct resolver *v)
{
	const int64_t cost = NS_PER_QUESTION / LIMIT_RESOLVER_PER_SECOND,
		      full = cost * LIMIT_RESOLVER_BURST;
	int64_t now_ns = rt_now_ns();

	v->allowance_ns = MIN(full, v->allowance_ns + now_ns - v->counted_ns);
	v->counted_ns = now_ns;
	if (v->allowance_ns < cost)
		return false;
	v->allowance_ns -= cost;
	return true;
}

/* The n-th policy by which a packet of the sandbox may be decided now: its own, and those of its
 * calls. NULL at the end. */
static const struct sensor_policy *policy_at(struct resolver *v, size_t n)
{
	if (n == 0)
		return sensor_agent_policy(v->agent);
	const struct sensor_call *c = sensor_agent_call(v->agent, n - 1);
	return c ? sensor_call_policy(c) : NULL;
}

static int rules_about(
	const struct sensor_policy *p, const struct dns_name *name, struct net_rules *ret)
{
	return sensor_name_rules(sensor_policy_rules(p), span_of(name->text, name->n), ret);
}

/* Who said no; the sandbox's own policy before those of its calls. */
static void denied_by(
	const struct sensor_policy *p, const struct net_rules *rules, struct resolver_record *rec)
{
	if (rules->count > 0 && rec->policy_id.n == 0)
		rec->policy_id = sensor_policy_rules(p)->net[rules->rule[0].id - 1].policy_id;
}

/* Whether some policy lets the name be asked for: whoever may not reach it gets its address, and
 * nothing from there. */
static bool permitted(struct resolver *v, const struct dns_query *q, struct resolver_record *rec)
{
	const struct sensor_policy *p;

	for (size_t i = 0; (p = policy_at(v, i)); i++) {
		struct net_rules rules = {.count = 0};
		if (rules_about(p, &q->name, &rules) == 0 && sensor_may_resolve(&rules)) {
			rec->policy_id = (struct span){0};
			return true;
		}
		err_clear();
		denied_by(p, &rules, rec);
	}
	rec->denied = true;
	rec->reason = RESOLVER_NOT_PERMITTED;
	return false;
}

/* An alias of a permitted name is the outside's doing: it needs no rule, but none may forbid it. */
static bool aliases_permitted_by(
	const struct sensor_policy *p, const struct dns_answer *answer, struct resolver_record *rec)
{
	for (size_t i = 0; i < answer->alias_count; i++) {
		struct net_rules rules = {.count = 0};
		int r = rules_about(p, &answer->aliases[i], &rules);
		if (r == 0 && (rules.count == 0 || sensor_may_resolve(&rules)))
			continue;
		err_clear();
		denied_by(p, &rules, rec);
		rec->denied = true;
		rec->reason = RESOLVER_ALIAS_FORBIDDEN;
		return false;
	}
	return true;
}

/* By every policy that the name is permitted by: its addresses are learned for all of them. */
static bool aliases_permitted(struct resolver *v, const struct dns_query *q,
	const struct dns_answer *answer, struct resolver_record *rec)
{
	const struct sensor_policy *p;

	for (size_t i = 0; (p = policy_at(v, i)); i++) {
		struct net_rules rules = {.count = 0};
		bool named = rules_about(p, &q->name, &rules) == 0 && sensor_may_resolve(&rules);
		err_clear();
		if (named && !aliases_permitted_by(p, answer, rec))
			return false;
	}
	return true;
}

/* Leaves out what leads inside, unless a rule about addresses says that this is meant: one that
 * holds outside of calls, since what is learned is learned for the whole sandbox. */
static void drop_internal(
	struct resolver *v, struct dns_answer *answer, struct resolver_record *rec)
{
	const struct kernel_rules *all = sensor_policy_rules(sensor_agent_policy(v->agent));
	size_t kept = 0;

	for (size_t i = 0; i < answer->count; i++) {
		if (dns_address_is_internal(answer->addresses[i]) &&
			!sensor_address_permitted(all, answer->addresses[i])) {
			rec->internal++;
			continue;
		}
		if (kept != i)
			memcpy(answer->addresses[kept], answer->addresses[i], 16);
		kept++;
	}
	answer->count = kept;
}

/* The addresses are in the kernel's map when this returns. */
static enum dns_rcode settle(struct resolver *v, const struct dns_query *q,
	struct dns_answer *answer, struct resolver_record *rec)
{
	if (answer->rcode != DNS_NOERROR) {
		rec->reason = "the node's resolver gave no address";
		return answer->rcode == DNS_NXDOMAIN ? DNS_NXDOMAIN : DNS_SERVFAIL;
	}
	/* Policy may have changed while the answer was on its way. */
	if (!permitted(v, q, rec) || !aliases_permitted(v, q, answer, rec))
		return DNS_REFUSED;
	drop_internal(v, answer, rec);
	if (answer->count == 0) {
		rec->reason = rec->internal ? "it leads to internal addresses only"
					    : "it has no address of this type";
		return DNS_NOERROR;
	}
	answer->ttl_s = MIN(answer->ttl_s, (uint32_t)LIMIT_RESOLVER_TTL_S);
	int r = sensor_agent_learn(v->agent, span_of(q->name.text, q->name.n), answer->addresses,
		answer->count, answer->ttl_s);
	if (r < 0) {
		err_log(r, "learn an address");
		err_clear();
		rec->reason = "no room for its addresses";
		return DNS_SERVFAIL;
	}
	rec->addresses = answer->count;
	return DNS_NOERROR;
}

static enum dns_rcode answer_question(struct resolver *v, const struct dns_query *q,
	struct dns_answer *answer, struct resolver_record *rec)
{
	if (!take_from_allowance(v)) {
		rec->denied = true;
		rec->reason = "too many questions";
		return DNS_REFUSED;
	}
	if (!permitted(v, q, rec))
		return DNS_REFUSED;
	if (q->type != DNS_A && q->type != DNS_AAAA) {
		rec->reason = "only addresses are answered for";
		return DNS_NOERROR;
	}
	int r = resolver_ask(v->options.servers, q, answer);
	if (r < 0) {
		err_clear();
		rec->reason = "no resolver of the node answered";
		return DNS_SERVFAIL;
	}
	return settle(v, q, answer, rec);
}

/* Writes the reply; nothing if the message is not even a question. */
static void handle(struct resolver *v, struct span message, struct buf *reply)
{
	struct resolver_record rec = {.cgroup = sensor_agent_cgroup(v->agent)};
	int64_t began_ns = rt_now_ns();
	struct dns_answer answer = {.count = 0};
	struct dns_query q = {.id = 0};
	uint16_t id;

	int r = dns_query_parse(message, &q, &id);
	if (r < 0) {
		rec.denied = true;
		rec.reason = err_message(r);
		rec.rcode = DNS_FORMERR;
	} else {
		rec.name = span_of(q.name.text, q.name.n);
		rec.type = q.type;
		rec.rcode = answer_question(v, &q, &answer, &rec);
		dns_reply_write(
			reply, &q, rec.rcode, answer.ttl_s, answer.addresses, rec.addresses);
	}
	rec.latency_ns = rt_now_ns() - began_ns;
	if (v->options.observer)
		v->options.observer(v->options.observer_ctx, &rec);
	err_clear();
}

/* ---- UDP ---- */

struct question {
	struct resolver *resolver;
	struct sockaddr_in from;
	size_t n;
	char message[LIMIT_RESOLVER_QUESTION_BYTES];
};

static void answer_datagram(void *arg)
{
	struct question *p = arg;
	struct resolver *v = p->resolver;
	struct buf reply CLEANUP(buf_fini) = buf_init(REPLY_BYTES_MAX);

	handle(v, span_of(p->message, p->n), &reply);
	if (reply.len > 0 && buf_error(&reply) == 0) {
		struct iovec io = {reply.data, reply.len};
		struct msghdr m = {.msg_name = &p->from,
			.msg_namelen = sizeof(p->from),
			.msg_iov = &io,
			.msg_iovlen = 1};
		(void)!rt_sendmsg(v->udp, &m, 0, deadline_in_ms(SEND_MS));
	}
	v->in_flight--;
	free(p);
}

static void serve_udp(void *arg)
{
	struct resolver *v = arg;

	for (;;) {
		struct question *p = malloc(sizeof(*p));
		if (!p) {
			if (rt_sleep_until(deadline_in_ms(100)) < 0)
				return;
			continue;
		}
		struct iovec io = {p->message, sizeof(p->message)};
		struct msghdr m = {.msg_name = &p->from,
			.msg_namelen = sizeof(p->from),
			.msg_iov = &io,
			.msg_iovlen = 1};
		ssize_t n = rt_recvmsg(v->udp, &m, 0, DEADLINE_NONE);
		if (n == -ECANCELED || n == -EBADF || n == -ENOTSOCK) {
			free(p);
			return;
		}
		p->resolver = v;
		p->n = n > 0 ? (size_t)n : 0;
		if (n <= 0 || m.msg_flags & MSG_TRUNC || v->in_flight >= LIMIT_RESOLVER_IN_FLIGHT ||
			group_spawn(&v->group, "dns question", FIBER_SMALL, answer_datagram, p) <
				0) {
			err_clear();
			free(p);
			continue;
		}
		v->in_flight++;
	}
}

/* ---- TCP ---- */

struct connection {
	struct resolver *resolver;
	int fd;
};

static int serve_one(struct resolver *v, int fd)
{
	struct buf reply CLEANUP(buf_fini) = buf_init(REPLY_BYTES_MAX);
	char *message;
	size_t n;
	int r = resolver_receive(
		fd, &message, &n, LIMIT_RESOLVER_QUESTION_BYTES, deadline_in_ms(IDLE_MS));

	if (r < 0)
		return r;
	handle(v, span_of(message, n), &reply);
	free(message);
	if (reply.len == 0 || buf_error(&reply) < 0)
		return -EINVAL;
	return resolver_send(fd, buf_view(&reply), deadline_in_ms(SEND_MS));
}

static void serve_connection(void *arg)
{
	struct connection *c = arg;

	while (serve_one(c->resolver, c->fd) == 0)
		;
	err_clear();
	rt_close(c->fd);
	c->resolver->connections--;
	free(c);
}

static void serve_tcp(void *arg)
{
	struct resolver *v = arg;

	for (;;) {
		int fd = listener_accept(v->listener, DEADLINE_NONE);
		if (fd == -ECANCELED)
			break;
		if (fd < 0) {
			if (rt_sleep_until(deadline_in_ms(100)) < 0)
				break;
			continue;
		}
		struct connection *c =
			v->connections < LIMIT_RESOLVER_CONNECTIONS ? malloc(sizeof(*c)) : NULL;
		if (c)
			*c = (struct connection){v, fd};
		if (!c ||
			group_spawn(&v->group, "dns connection", FIBER_SMALL, serve_connection, c) <
				0) {
			err_clear();
			free(c);
			rt_close(fd);
			continue;
		}
		v->connections++;
	}
	listener_stop(v->listener);
	v->listener = NULL;
}

/* ---- life ---- */

int resolver_start(struct sensor_agent *agent, int udp, int tcp, const struct resolver_options *o,
	struct resolver **ret)
{
	struct resolver *v = calloc(1, sizeof(*v));
	int r = v ? 0 : err_raise(-ENOMEM, "no memory for a resolver");

	if (r == 0 && tcp >= 0) {
		r = listener_start(tcp, &v->listener);
		tcp = -1;
	}
	if (r < 0) {
		fd_cleanup(&udp);
		fd_cleanup(&tcp);
		free(v);
		return err_trace(r);
	}
	v->agent = agent;
	v->options = *o;
	v->udp = udp;
	v->counted_ns = rt_now_ns();
	v->allowance_ns =
		(int64_t)NS_PER_QUESTION / LIMIT_RESOLVER_PER_SECOND * LIMIT_RESOLVER_BURST;
	group_init(&v->group);
	r = group_spawn(&v->group, "dns over UDP", FIBER_SMALL, serve_udp, v);
	if (r == 0 && v->listener)
		r = group_spawn(&v->group, "dns over TCP", FIBER_SMALL, serve_tcp, v);
	if (r < 0) {
		resolver_stop(v);
		return err_trace(r);
	}
	*ret = v;
	return 0;
}

struct resolver *resolver_stop(struct resolver *r)
{
	if (!r)
		return NULL;
	group_close(&r->group);
	if (r->listener) /* its fiber never ran */
		listener_stop(r->listener);
	rt_close(r->udp);
	free(r);
	return NULL;
}
