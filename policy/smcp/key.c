/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The keys that a gateway signs its tokens with. OpenSSL makes, stores and signs with both kinds;
 * Ed25519 signatures are checked by libsodium, which also refuses the keys of small order that
 * OpenSSL takes.
 */
#include "policy/smcp/internal.h"
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdlib.h>

enum {
	RSA_BITS = 2048, /* what peers of SEAL expect; a token lives for an hour */
	RSA_BITS_MIN = 2048,
	RSA_BITS_MAX = 8192,
	ID_BYTES = 44, /* base64url of a SHA-256, with the NUL */
	JWK_BYTES = 4096,
	PEM_BYTES = 16 * 1024,
};

struct smcp_key {
	enum smcp_algorithm algorithm;
	EVP_PKEY *pkey;
	bool is_private;
	uint8_t ed25519[SMCP_PUBLIC_KEY_BYTES];
	char id[ID_BYTES];
};

const char *smcp_algorithm_name(enum smcp_algorithm a)
{
	switch (a) {
	case SMCP_EDDSA:
		return "EdDSA";
	case SMCP_RS256:
		return "RS256";
	}
	UNREACHABLE();
}

/* OpenSSL keeps its errors in a queue of the thread: the newest one is told, all are dropped. */
static int openssl_error(const char *what)
{
	char text[160] = "no reason given";
	unsigned long code = ERR_peek_last_error();

	if (code)
		ERR_error_string_n(code, text, sizeof(text));
	ERR_clear_error();
	return err_raise(-EIO, "%s: %s", what, text);
}

/* ---- the public half ---- */

static int rsa_number_put(const struct smcp_key *k, const char *name, struct buf *b)
{
	BIGNUM *n = NULL;
	uint8_t bytes[RSA_BITS_MAX / 8];

	if (EVP_PKEY_get_bn_param(k->pkey, name, &n) != 1)
		return openssl_error("read an RSA key");
	int length = BN_num_bytes(n);
	CHECK(length >= 0 && (size_t)length <= sizeof(bytes));
	BN_bn2bin(n, bytes);
	BN_free(n);
	base64_encode(b, span_of(bytes, (size_t)length), BASE64_URL);
	return 0;
}

/* The members that RFC 7638 hashes, in its order: by name. */
static int jwk_members(const struct smcp_key *k, struct buf *b)
{
	if (k->algorithm == SMCP_EDDSA) {
		buf_puts(b, "\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
		base64_encode(b, span_of(k->ed25519, sizeof(k->ed25519)), BASE64_URL);
		buf_puts(b, "\"");
		return err_trace(buf_error(b));
	}
	buf_puts(b, "\"e\":\"");
	int r = rsa_number_put(k, OSSL_PKEY_PARAM_RSA_E, b);
	if (r < 0)
		return err_trace(r);
	buf_puts(b, "\",\"kty\":\"RSA\",\"n\":\"");
	r = rsa_number_put(k, OSSL_PKEY_PARAM_RSA_N, b);
	if (r < 0)
		return err_trace(r);
	buf_puts(b, "\"");
	return err_trace(buf_error(b));
}

static int id_make(struct smcp_key *k)
{
	struct buf b CLEANUP(buf_fini) = buf_init(JWK_BYTES);
	uint8_t digest[SHA256_DIGEST_LENGTH];

	buf_putc(&b, '{');
	int r = jwk_members(k, &b);
	buf_putc(&b, '}');
	if (r < 0)
		return err_trace(r);
	SHA256((const uint8_t *)b.data, b.len, digest);
	buf_reset(&b);
	base64_encode(&b, span_of(digest, sizeof(digest)), BASE64_URL);
	CHECK(b.len == ID_BYTES - 1);
	memcpy(k->id, b.data, b.len);
	return 0;
}

void smcp_jwks_put(struct json_writer *w, struct smcp_key *const *keys, size_t count)
{
	json_object(w);
	json_key(w, "keys");
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(JWK_BYTES);
		buf_putc(&b, '{');
		if (jwk_members(keys[i], &b) < 0) { /* it was read when it was made */
			err_clear();
			continue;
		}
		buf_printf(&b, ",\"use\":\"sig\",\"alg\":\"%s\",\"kid\":\"%s\"}",
			smcp_algorithm_name(keys[i]->algorithm), keys[i]->id);
		json_put_raw(w, buf_view(&b));
	}
	json_end(w);
	json_end(w);
}

enum smcp_algorithm smcp_key_algorithm(const struct smcp_key *k)
{
	return k->algorithm;
}

struct span smcp_key_id(const struct smcp_key *k)
{
	return span_cstr(k->id);
}

/* ---- making ---- */

struct smcp_key *smcp_key_free(struct smcp_key *k)
{
	if (k) {
		EVP_PKEY_free(k->pkey);
		free(k);
	}
	return NULL;
}

static int ed25519_read(struct smcp_key *k)
{
	size_t n = sizeof(k->ed25519);

	if (EVP_PKEY_get_raw_public_key(k->pkey, k->ed25519, &n) != 1 || n != sizeof(k->ed25519))
		return openssl_error("read an Ed25519 key");
	return 0;
}

/* Takes pkey, also on failure. */
static int key_of(EVP_PKEY *pkey, bool is_private, struct smcp_key **ret)
{
	struct smcp_key *k = calloc(1, sizeof(*k));
	int kind = EVP_PKEY_base_id(pkey), bits = EVP_PKEY_bits(pkey), r = 0;

	if (!k) {
		EVP_PKEY_free(pkey);
		return err_raise(-ENOMEM, "key: out of memory");
	}
	k->pkey = pkey;
	k->is_private = is_private;
	k->algorithm = kind == EVP_PKEY_ED25519 ? SMCP_EDDSA : SMCP_RS256;
	if (kind == EVP_PKEY_ED25519)
		r = ed25519_read(k);
	else if (kind != EVP_PKEY_RSA || bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		r = err_raise(-EINVAL, "a key for tokens is Ed25519, or RSA of %d to %d bits",
			RSA_BITS_MIN, RSA_BITS_MAX);
	if (r == 0)
		r = id_make(k);
	if (r < 0) {
		smcp_key_free(k);
		return err_trace(r);
	}
	*ret = k;
	return 0;
}

int smcp_key_generate(enum smcp_algorithm a, struct smcp_key **ret)
{
	EVP_PKEY *pkey =
		a == SMCP_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_RSA_gen(RSA_BITS);

	if (!pkey)
		return openssl_error("make a key");
	return err_trace(key_of(pkey, true, ret));
}

/* A key that needs a passphrase is no key of ours: nothing may ask for one. */
static int no_passphrase(char *text, int size, int writing, void *ctx)
{
	return -1;
}

int smcp_key_from_private(struct span pem, struct smcp_key **ret)
{
	if (pem.n > PEM_BYTES)
		return err_raise(-EINVAL, "a private key in PEM has at most %d bytes", PEM_BYTES);
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (!bio)
		return err_raise(-ENOMEM, "key: out of memory");
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (!pkey) {
		ERR_clear_error();
		return err_raise(-EINVAL, "no private key in PEM (PKCS#8, without a passphrase)");
	}
	return err_trace(key_of(pkey, true, ret));
}

int smcp_key_from_ed25519(const uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], struct smcp_key **ret)
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, public_key, SMCP_PUBLIC_KEY_BYTES);

	if (!pkey)
		return openssl_error("read an Ed25519 key");
	return err_trace(key_of(pkey, false, ret));
}

int smcp_key_private(const struct smcp_key *k, struct secret **ret_pem)
{
	struct secret *secret = NULL;
	char *text;

	if (!k->is_private)
		return err_raise(-EINVAL, "this key has no private half");
	BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
	if (!bio)
		return err_raise(-ENOMEM, "key: out of memory");
	if (PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
		long n = BIO_get_mem_data(bio, &text);
		if (n > 0)
			secret = secret_new(span_of(text, (size_t)n));
	}
	BIO_free(bio);
	if (!secret)
		return openssl_error("write a key");
	*ret_pem = secret;
	return 0;
}

/* ---- signing ---- */

int smcp_key_sign(const struct smcp_key *k, struct span message, struct buf *signature)
{
	const EVP_MD *digest = k->algorithm == SMCP_RS256 ? EVP_sha256() : NULL;
	size_t n = RSA_BITS_MAX / 8;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *place = buf_reserve(signature, n);
	bool done = ctx && place && EVP_DigestSignInit(ctx, NULL, digest, NULL, k->pkey) == 1 &&
		EVP_DigestSign(ctx, place, &n, (const uint8_t *)message.p, message.n) == 1;

	EVP_MD_CTX_free(ctx);
	if (!done)
		return openssl_error("sign a token");
	buf_commit(signature, n);
	return 0;
}

bool smcp_key_verify(const struct smcp_key *k, struct span message, struct span signature)
{
	if (k->algorithm == SMCP_EDDSA)
		return signature.n == SMCP_SIGNATURE_BYTES &&
			smcp_signature_good(k->ed25519, message, (const uint8_t *)signature.p);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
		EVP_DigestVerify(ctx, (const uint8_t *)signature.p, signature.n,
			(const uint8_t *)message.p, message.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}
