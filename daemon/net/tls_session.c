/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One TLS connection. OpenSSL never sees the socket: it reads ciphertext from one memory BIO and
 * writes it to another, and this file carries the bytes between those and the stream. So nothing
 * in OpenSSL ever blocks, and every wait is a fiber's.
 *
 * OpenSSL's error queue belongs to the thread, that is to all fibers of the worker: it is cleared
 * before and read after each call, with no await between.
 *
 * Invariant: what OpenSSL has written into `out` is sent before we wait for input, since the peer
 * may be waiting for exactly that.
 */
#include "daemon/net/tls_session.h"
#include "daemon/net/tls_context.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum {
	RECORD_BYTES = 16 * 1024, /* plain bytes of one record */
	SEND_BYTES = 64 * 1024, /* plain bytes before ciphertext is sent */
	PROTOCOL_MS =
		1000, /* for what the protocol itself must send while we only look for input */
};

struct tls_session {
	SSL *ssl;
	BIO *in; /* ciphertext that has arrived; owned by ssl */
	BIO *out; /* ciphertext to be sent; owned by ssl */
	struct stream *stream;
	struct buf plain; /* decrypted, not consumed */
	struct buf gathered; /* pieces of one sendv, to share records */
	bool ended; /* the peer has said so */
};

struct tls_session *tls_session_free(struct tls_session *t)
{
	if (!t)
		return NULL;
	SSL_free(t->ssl);
	buf_fini(&t->plain);
	buf_fini(&t->gathered);
	free(t);
	ERR_clear_error();
	return NULL;
}

/* Takes ssl. NULL if out of memory. */
static struct tls_session *session_new(SSL *ssl, struct stream *s)
{
	struct tls_session *t = calloc(1, sizeof(*t));
	BIO *in = BIO_new(BIO_s_mem());
	BIO *out = BIO_new(BIO_s_mem());

	if (!t || !ssl || !in || !out) {
		SSL_free(ssl);
		BIO_free(in);
		BIO_free(out);
		free(t);
		return NULL;
	}
	SSL_set_bio(ssl, in, out);
	*t = (struct tls_session){
		.ssl = ssl,
		.in = in,
		.out = out,
		.stream = s,
		.plain = buf_init(RT_STREAM_BUFFER_BYTES),
		.gathered = buf_init(RECORD_BYTES),
	};
	return t;
}

/* Sends what OpenSSL has written. */
static int flush(struct tls_session *t, int64_t deadline_ns)
{
	char *p = NULL;
	long n = BIO_get_mem_data(t->out, &p);
	int r;

	if (n <= 0)
		return 0;
	r = stream_send(t->stream, span_of(p, (size_t)n), deadline_ns);
	(void)BIO_reset(t->out);
	return r;
}

/* Hands OpenSSL what arrives next. */
static int feed(struct tls_session *t, int64_t deadline_ns)
{
	struct span s = {0};
	int r = flush(t, MAX(deadline_ns, deadline_in_ms(PROTOCOL_MS)));

	if (r == 0)
		r = stream_peek(t->stream, 0, &s, deadline_ns);
	if (r < 0)
		return r;
	if (s.n == 0)
		return -ECONNRESET;
	s.n = MIN(s.n, (size_t)SEND_BYTES);
	if (BIO_write(t->in, s.p, (int)s.n) != (int)s.n)
		return -ENOMEM;
	stream_consume(t->stream, s.n);
	return 0;
}

/* ---- handshake ---- */

static int refused(struct tls_session *t, int64_t deadline_ns)
{
	long verdict = SSL_get_verify_result(t->ssl);
	int r;

	if (verdict != X509_V_OK)
		r = err_raise(-EKEYREJECTED, "TLS: the peer's certificate is not accepted: %s",
			X509_verify_cert_error_string(verdict));
	else
		r = tls_raise(-EPROTO, "TLS handshake");
	ERR_clear_error();
	/* The alert that tells the peer why; whether it arrives does not matter. */
	(void)flush(t, deadline_ns);
	return r;
}

static int handshake(struct tls_session *t, int64_t deadline_ns)
{
	for (;;) {
		ERR_clear_error();
		int done = SSL_do_handshake(t->ssl);
		if (done == 1)
			return flush(t, deadline_ns);
		if (SSL_get_error(t->ssl, done) != SSL_ERROR_WANT_READ)
			return refused(t, deadline_ns);
		int r = feed(t, deadline_ns);
		if (r == -ECONNRESET)
			return err_raise(-EPIPE,
				"TLS handshake: the peer closed the connection in its midst");
		if (r < 0)
			return r;
	}
}

static int finish_handshake(struct tls_session *t, int64_t deadline_ns, struct tls_session **ret)
{
	int r = handshake(t, deadline_ns);

	if (r < 0) {
		tls_session_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int tls_session_accept(
	struct tls_server *server, struct stream *s, int64_t deadline_ns, struct tls_session **ret)
{
	struct tls_session *t = session_new(tls_server_ssl(server), s);

	if (!t)
		return tls_raise(-ENOMEM, "TLS session");
	SSL_set_accept_state(t->ssl);
	return finish_handshake(t, deadline_ns, ret);
}

/* The name that the certificate must bear. */
static int expect_host(struct tls_session *t, const char *host, bool is_address)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

	if (is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : -EINVAL;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(param, host, 0) != 1 ||
		SSL_set_tlsext_host_name(t->ssl, host) != 1)
		return -EINVAL;
	return 0;
}

int tls_session_connect(struct tls_client *client, struct stream *s, const char *host,
	bool host_is_address, int64_t deadline_ns, struct tls_session **ret)
{
	struct tls_session *t = session_new(tls_client_ssl(client), s);

	if (!t)
		return tls_raise(-ENOMEM, "TLS session");
	SSL_set_connect_state(t->ssl);
	if (expect_host(t, host, host_is_address) < 0) {
		tls_session_free(t);
		return tls_raise(-EINVAL, "TLS: the host name cannot be checked");
	}
	return finish_handshake(t, deadline_ns, ret);
}

/* ---- data ---- */

/* Decrypts one piece. 1: there was one; 0: more ciphertext is needed, or the end has come. */
static int decrypt(struct tls_session *t)
{
	size_t room = MIN((size_t)RECORD_BYTES, (size_t)RT_STREAM_BUFFER_BYTES - t->plain.len);
	char *p = buf_reserve(&t->plain, room);
	int n;

	if (!p)
		return -ENOMEM;
	ERR_clear_error();
	n = SSL_read(t->ssl, p, (int)room);
	if (n > 0) {
		buf_commit(&t->plain, (size_t)n);
		return 1;
	}
	switch (SSL_get_error(t->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		t->ended = true;
		return 0;
	default:
		return tls_raise(-EPROTO, "TLS");
	}
}

int tls_session_peek(struct tls_session *t, size_t have, struct span *ret, int64_t deadline_ns)
{
	if (fiber_cancelled())
		return -ECANCELED;
	if (have >= RT_STREAM_BUFFER_BYTES)
		return err_raise(-E2BIG, "more than %d bytes in one piece of a TLS connection",
			RT_STREAM_BUFFER_BYTES);
	while (t->plain.len <= have) {
		int r = t->ended ? 0 : decrypt(t);
		if (t->ended) {
			*ret = (struct span){0};
			return 0;
		}
		if (r == 0)
			r = feed(t, deadline_ns);
		if (r < 0)
			return r;
	}
	*ret = buf_view(&t->plain);
	return 0;
}

void tls_session_consume(struct tls_session *t, size_t n)
{
	buf_consume(&t->plain, n);
}

static int encrypt(struct tls_session *t, struct span s)
{
	if (s.n == 0)
		return 0;
	ERR_clear_error();
	if (SSL_write(t->ssl, s.p, (int)s.n) == (int)s.n)
		return 0;
	return tls_raise(-EPIPE, "TLS");
}

static int encrypt_gathered(struct tls_session *t)
{
	int r = encrypt(t, buf_view(&t->gathered));

	buf_reset(&t->gathered);
	return r;
}

/* One piece; small ones wait for company, so that they share a record. */
static int put_piece(struct tls_session *t, struct span s, int64_t deadline_ns)
{
	int r = 0;

	if (t->gathered.len + s.n <= RECORD_BYTES) {
		buf_span(&t->gathered, s);
		return t->gathered.error;
	}
	r = encrypt_gathered(t);
	while (r == 0 && s.n) {
		size_t n = MIN(s.n, (size_t)SEND_BYTES);
		r = encrypt(t, span_sub(s, 0, n));
		if (r == 0)
			r = flush(t, deadline_ns);
		s = span_sub(s, n, s.n);
	}
	return r;
}

int tls_session_sendv(struct tls_session *t, const struct iovec *v, int count, int64_t deadline_ns)
{
	int r = 0;

	for (int i = 0; i < count && r == 0; i++)
		r = put_piece(t, span_of(v[i].iov_base, v[i].iov_len), deadline_ns);
	if (r == 0)
		r = encrypt_gathered(t);
	if (r == 0)
		r = flush(t, deadline_ns);
	return r;
}

void tls_session_close(struct tls_session *t, int64_t deadline_ns)
{
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
	(void)flush(t, deadline_ns);
}

void tls_session_subject(struct tls_session *t, struct buf *b)
{
	X509 *certificate = SSL_get0_peer_certificate(t->ssl);
	BIO *text;
	char *p = NULL;
	long n;

	if (!certificate || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return;
	text = BIO_new(BIO_s_mem());
	if (!text)
		return;
	if (X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
		n = BIO_get_mem_data(text, &p);
		if (n > 0)
			buf_put(b, p, (size_t)n);
	}
	BIO_free(text);
}
