/* SPDX-License-Identifier: AGPL-3.0-only */
/* The words of HTTP: methods, statuses, dates, and looking things up among a head's headers. */
#include "daemon/net/http.h"
#include "daemon/net/http_char.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

static const struct span method_names[HTTP_METHOD_COUNT] = {
	[HTTP_GET] = {"GET", 3},
	[HTTP_HEAD] = {"HEAD", 4},
	[HTTP_POST] = {"POST", 4},
	[HTTP_PUT] = {"PUT", 3},
	[HTTP_PATCH] = {"PATCH", 5},
	[HTTP_DELETE] = {"DELETE", 6},
	[HTTP_OPTIONS] = {"OPTIONS", 7},
	[HTTP_OTHER] = {"", 0},
};

const char *http_method_name(enum http_method m)
{
	return method_names[m].p;
}

enum http_method http_method_parse(struct span s)
{
	for (int m = 0; m < HTTP_OTHER; m++) {
		if (span_eq(s, method_names[m]))
			return (enum http_method)m;
	}
	return HTTP_OTHER;
}

const char *http_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{100, "Continue"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{422, "Unprocessable Content"},
		{424, "Failed Dependency"},
		{425, "Too Early"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "";
}

bool http_valid_token(struct span s)
{
	return s.n && chars_are(s, CHAR_TOKEN);
}

bool http_valid_value(struct span s)
{
	return chars_are(s, CHAR_VALUE);
}

struct span http_header_get(const struct http_head *h, const char *name)
{
	struct span wanted = span_cstr(name);

	for (int i = 0; i < h->header_count; i++) {
		if (span_eq_nocase(h->headers[i].name, wanted))
			return h->headers[i].value;
	}
	return (struct span){0};
}

int http_header_once(const struct http_head *h, const char *name, struct span *ret)
{
	struct span wanted = span_cstr(name);
	struct span value = {0};
	int times = 0;

	for (int i = 0; i < h->header_count; i++) {
		if (span_eq_nocase(h->headers[i].name, wanted)) {
			value = h->headers[i].value;
			times++;
		}
	}
	if (times == 0)
		return HTTP_ABSENT;
	if (times > 1)
		return err_raise(
			-EBADMSG, "header %s stands %d times, once is accepted", name, times);
	*ret = value;
	return 0;
}

bool http_header_has_token(const struct http_head *h, const char *name, const char *token)
{
	struct span wanted = span_cstr(name);

	for (int i = 0; i < h->header_count; i++) {
		struct span rest = h->headers[i].value, piece;
		bool done = false;

		if (!span_eq_nocase(h->headers[i].name, wanted))
			continue;
		while (span_split(&rest, ',', &done, &piece)) {
			if (span_eq_nocase(span_trim(piece), span_cstr(token)))
				return true;
		}
	}
	return false;
}

void http_date(int64_t wall_ns, char ret_text[HTTP_DATE_BYTES])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = wall_ns / NS_PER_S;
	struct tm t;

	CHECK(gmtime_r(&seconds, &t));
	snprintf(ret_text, HTTP_DATE_BYTES, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		days + 3 * t.tm_wday, (unsigned)t.tm_mday % 100, months + 3 * t.tm_mon,
		(unsigned)(t.tm_year + 1900) % 10000, (unsigned)t.tm_hour % 100,
		(unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
}
