/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Bodies of HTTP/1.1 messages: known length, chunked coding (RFC 9112 section 7.1), until close.
 *
 * The chunked decoder is a state per byte for the framing and a copy-free span for the content.
 * Chunk extensions are syntax to be skipped; what they and tiny chunks cost is an account that
 * content pays into, so that a small body cannot be wrapped in endless framing.
 */
#include "daemon/net/http.h"
#include "daemon/net/http_char.h"
#include <errno.h>

enum {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	CHUNKED_LAST_LF,
};

enum {
	CHUNK_DIGITS_MAX = 15, /* fits 60 bits: no sum of sizes overflows in any real time */
	CHUNK_FREE_BYTES = 16, /* framing that each chunk may have for nothing */
};

struct http_body http_body_of(const struct http_head *h)
{
	return (struct http_body){
		.framing = h->framing,
		.left = h->framing == HTTP_BODY_LENGTH ? h->content_length : 0,
	};
}

static const char *chunk_size_byte(struct http_body *b, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		if (b->digits == CHUNK_DIGITS_MAX)
			return "a chunk size has too many digits";
		b->left = b->left << 4 | (uint64_t)digit;
		b->digits++;
		return NULL;
	}
	if (b->digits == 0 || (c != ';' && c != '\r'))
		return "a chunk size is not a hexadecimal number";
	b->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
	return NULL;
}

static const char *chunk_line_end(struct http_body *b)
{
	uint64_t earned = CHUNK_FREE_BYTES + MIN(b->left, (uint64_t)LIMIT_HTTP_BODY_BYTES) * 2;

	b->overhead += b->line_bytes;
	b->overhead -= (uint32_t)MIN(earned, (uint64_t)b->overhead);
	if (b->overhead > LIMIT_HTTP_CHUNK_OVERHEAD_BYTES)
		return "there is more chunk framing than content";
	b->line_bytes = 0;
	b->digits = 0;
	b->state = b->left ? CHUNK_DATA : TRAILER_START;
	return NULL;
}

/* One byte of a chunk line. NULL, or what is wrong with it. */
static const char *chunk_line_byte(struct http_body *b, char c)
{
	if (++b->line_bytes > LIMIT_HTTP_CHUNK_LINE_BYTES)
		return "a chunk line is too long";
	switch (b->state) {
	case CHUNK_SIZE:
		return chunk_size_byte(b, c);
	case CHUNK_EXTENSION:
		if (c == '\r')
			b->state = CHUNK_SIZE_LF;
		else if (!char_is(c, CHAR_PRINT))
			return "a chunk extension has a control character in it";
		return NULL;
	default:
		return c == '\n' ? chunk_line_end(b) : "a chunk line does not end in CRLF";
	}
}

/* One byte behind the last chunk. */
static const char *trailer_byte(struct http_body *b, char c)
{
	if (++b->line_bytes > LIMIT_HTTP_TRAILER_BYTES)
		return "the trailer section is too long";
	switch (b->state) {
	case TRAILER_START:
		if (c == '\r') {
			b->state = CHUNKED_LAST_LF;
			return NULL;
		}
		b->state = TRAILER_NAME;
		return char_is(c, CHAR_TOKEN) ? NULL : "a trailer line is not a header";
	case TRAILER_NAME:
		if (c == ':')
			b->state = TRAILER_VALUE;
		else if (!char_is(c, CHAR_TOKEN))
			return "a trailer name has a byte that may not stand in it";
		return NULL;
	case TRAILER_VALUE:
		if (c == '\r')
			b->state = TRAILER_LF;
		else if (!char_is(c, CHAR_VALUE))
			return "a trailer value has a control character in it";
		return NULL;
	case TRAILER_LF:
		b->state = TRAILER_START;
		return c == '\n' ? NULL : "a trailer line does not end in CRLF";
	default:
		b->done = true;
		return c == '\n' ? NULL : "the chunked body does not end in CRLF";
	}
}

static const char *framing_byte(struct http_body *b, char c)
{
	switch (b->state) {
	case CHUNK_DATA_CR:
		b->state = CHUNK_DATA_LF;
		return c == '\r' ? NULL : "a chunk is longer than its size says";
	case CHUNK_DATA_LF:
		b->state = CHUNK_SIZE;
		return c == '\n' ? NULL : "a chunk does not end in CRLF";
	case CHUNK_SIZE:
	case CHUNK_EXTENSION:
	case CHUNK_SIZE_LF:
		return chunk_line_byte(b, c);
	default:
		return trailer_byte(b, c);
	}
}

/* The content that lies in front of us, of at most b->left bytes. */
static struct span take_content(struct http_body *b, struct span in)
{
	size_t n = (size_t)MIN((uint64_t)in.n, b->left);

	b->left -= n;
	b->total += n;
	return span_of(in.p, n);
}

static int chunked_next(struct http_body *b, struct span in, size_t *ret_consumed,
	struct span *ret_data, struct http_fault *ret_fault)
{
	size_t at = 0;

	while (at < in.n && b->state != CHUNK_DATA) {
		const char *wrong = framing_byte(b, in.p[at++]);
		if (wrong) {
			*ret_fault = (struct http_fault){400, wrong};
			return -EBADMSG;
		}
		if (b->done) {
			*ret_consumed = at;
			return 0;
		}
	}
	if (at == in.n) {
		*ret_consumed = at;
		return HTTP_MORE;
	}
	*ret_data = take_content(b, span_sub(in, at, in.n));
	*ret_consumed = at + ret_data->n;
	if (b->left == 0)
		b->state = CHUNK_DATA_CR;
	return HTTP_DATA;
}

int http_body_next(struct http_body *b, struct span in, size_t *ret_consumed, struct span *ret_data,
	struct http_fault *ret_fault)
{
	*ret_consumed = 0;
	*ret_data = (struct span){0};
	if (b->done)
		return 0;
	switch (b->framing) {
	case HTTP_BODY_CHUNKED:
		return chunked_next(b, in, ret_consumed, ret_data, ret_fault);
	case HTTP_BODY_UNTIL_CLOSE:
		b->left = UINT64_MAX;
		break;
	case HTTP_BODY_LENGTH:
	case HTTP_BODY_NONE:
		if (b->left == 0) {
			b->done = true;
			return 0;
		}
		break;
	}
	if (in.n == 0)
		return HTTP_MORE;
	*ret_data = take_content(b, in);
	*ret_consumed = ret_data->n;
	b->done = b->left == 0;
	return HTTP_DATA;
}

size_t http_chunk_line(size_t n, char ret[HTTP_CHUNK_LINE_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	CHECK(n > 0); /* a size of 0 would end the body */
	for (int shift = 60; shift >= 0; shift -= 4) {
		if (at || n >> shift & 15)
			ret[at++] = digits[n >> shift & 15];
	}
	ret[at++] = '\r';
	ret[at++] = '\n';
	return at;
}
