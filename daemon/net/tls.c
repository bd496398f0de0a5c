/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the TLS connections of a server or client share: OpenSSL's SSL_CTX, made from files.
 *
 * A context never changes once connections use it. To reload means to build a new one and to swap
 * the pointer; connections hold their own reference to the context they began with. The swap is
 * the one place where workers meet, hence the lock around it.
 */
#include "daemon/net/tls_context.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

struct tls_server {
	atomic_int references;
	pthread_mutex_t lock; /* of context */
	SSL_CTX *context;
	char *certificate_file;
	char *key_file;
	char *client_ca_file;
	bool client_certificate_required;
};

struct tls_client {
	atomic_int references;
	SSL_CTX *context;
};

int tls_raise_at(int code, const char *what)
{
	unsigned long e = ERR_get_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return err_raise(code, "%s: %s", what, reason ? reason : "no reason given by OpenSSL");
}

static int raise_file(const char *noun, const char *path)
{
	unsigned long e = ERR_get_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return err_raise(
		-EINVAL, "TLS %s %s: %s", noun, path, reason ? reason : "cannot be read as PEM");
}

/* HTTP/1.1 is all we speak; a client that offers only others is told so in the handshake. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
	const unsigned char *in, unsigned in_n, void *arg)
{
	static const char ours[] = "http/1.1";

	for (unsigned i = 0; i < in_n; i += 1u + in[i]) {
		if (in[i] == sizeof(ours) - 1 && i + in[i] < in_n &&
			memcmp(in + i + 1, ours, in[i]) == 0) {
			*out = in + i + 1;
			*out_n = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);

	if (!c)
		return NULL;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	return c;
}

static int load_pair(SSL_CTX *c, const char *certificate_file, const char *key_file)
{
	if (SSL_CTX_use_certificate_chain_file(c, certificate_file) != 1)
		return raise_file("certificate", certificate_file);
	if (SSL_CTX_use_PrivateKey_file(c, key_file, SSL_FILETYPE_PEM) != 1)
		return raise_file("key", key_file);
	if (SSL_CTX_check_private_key(c) != 1)
		return raise_file("key does not belong to the certificate:", key_file);
	return 0;
}

static int ask_clients(SSL_CTX *c, const char *ca_file, bool required)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);

	if (!names || SSL_CTX_load_verify_file(c, ca_file) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return raise_file("client CA", ca_file);
	}
	SSL_CTX_set_client_CA_list(c, names);
	SSL_CTX_set_verify(
		c, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return 0;
}

static int make_server_context(const struct tls_server *s, SSL_CTX **ret)
{
	SSL_CTX *c = new_context(TLS_server_method());
	int r;

	ERR_clear_error();
	if (!c)
		return tls_raise(-ENOMEM, "TLS context");
	r = load_pair(c, s->certificate_file, s->key_file);
	if (r == 0 && s->client_ca_file)
		r = ask_clients(c, s->client_ca_file, s->client_certificate_required);
	if (r < 0) {
		SSL_CTX_free(c);
		return err_trace(r);
	}
	/* Without a name of its own a context refuses to resume sessions of verified clients. */
	SSL_CTX_set_session_id_context(c, (const unsigned char *)"aegis", 5);
	SSL_CTX_set_alpn_select_cb(c, choose_protocol, NULL);
	*ret = c;
	return 0;
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

int tls_server_new(const struct tls_server_options *o, struct tls_server **ret)
{
	struct tls_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_raise(-ENOMEM, "TLS server");
	atomic_init(&s->references, 1);
	pthread_mutex_init(&s->lock, NULL);
	s->certificate_file = copy(o->certificate_file);
	s->key_file = copy(o->key_file);
	s->client_ca_file = copy(o->client_ca_file);
	s->client_certificate_required = o->client_certificate_required;
	if (!s->certificate_file || !s->key_file || (o->client_ca_file && !s->client_ca_file))
		r = err_raise(-EINVAL, "TLS server: a certificate file and a key file are needed");
	else
		r = make_server_context(s, &s->context);
	if (r < 0) {
		tls_server_unref(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	return s;
}

struct tls_server *tls_server_unref(struct tls_server *s)
{
	/* The last one must see what all others did to the object. */
	if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1)
		return NULL;
	SSL_CTX_free(s->context);
	pthread_mutex_destroy(&s->lock);
	free(s->certificate_file);
	free(s->key_file);
	free(s->client_ca_file);
	free(s);
	return NULL;
}

int tls_server_reload(struct tls_server *s)
{
	SSL_CTX *fresh = NULL;
	SSL_CTX *former;
	int r = make_server_context(s, &fresh);

	if (r < 0)
		return err_trace(r);
	pthread_mutex_lock(&s->lock);
	former = s->context;
	s->context = fresh;
	pthread_mutex_unlock(&s->lock);
	SSL_CTX_free(former);
	return 0;
}

SSL *tls_server_ssl(struct tls_server *s)
{
	SSL *ssl;

	pthread_mutex_lock(&s->lock);
	ssl = SSL_new(s->context);
	pthread_mutex_unlock(&s->lock);
	return ssl;
}

static int load_trust(SSL_CTX *c, const char *ca_file)
{
	if (ca_file) {
		if (SSL_CTX_load_verify_file(c, ca_file) != 1)
			return raise_file("CA", ca_file);
	} else if (SSL_CTX_set_default_verify_paths(c) != 1) {
		return tls_raise(-EINVAL, "TLS: the system's certificate store");
	}
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	return 0;
}

int tls_client_new(const struct tls_client_options *o, struct tls_client **ret)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	struct tls_client *c = calloc(1, sizeof(*c));
	int r = 0;

	ERR_clear_error();
	if (!c)
		return err_raise(-ENOMEM, "TLS client");
	atomic_init(&c->references, 1);
	c->context = new_context(TLS_client_method());
	if (!c->context || SSL_CTX_set_alpn_protos(c->context, protocols, 9) != 0)
		r = tls_raise(-ENOMEM, "TLS context");
	if (r == 0)
		r = load_trust(c->context, o->ca_file);
	if (r == 0 && o->certificate_file)
		r = load_pair(c->context, o->certificate_file,
			o->key_file ? o->key_file : o->certificate_file);
	if (r < 0) {
		tls_client_unref(c);
		return err_trace(r);
	}
	*ret = c;
	return 0;
}

struct tls_client *tls_client_ref(struct tls_client *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
	return c;
}

struct tls_client *tls_client_unref(struct tls_client *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1)
		return NULL;
	SSL_CTX_free(c->context);
	free(c);
	return NULL;
}

SSL *tls_client_ssl(struct tls_client *c)
{
	return SSL_new(c->context);
}
