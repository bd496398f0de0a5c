/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Contents of files, as they come and go. An upload is written beside its place and takes the name
 * when it is whole, so that nobody sees half of it. What a file is is told by its first bytes,
 * never by its name or by what a client says.
 */
#include "daemon/api/files.h"
#include <sodium.h>
#include <stdio.h>

enum { PIECE_BYTES = 64 * 1024, SNIFFED_BYTES = 16 };

static const struct {
	const char *bytes;
	size_t n;
	const char *type;
} magics[] = {
	{"\x89PNG\r\n\x1a\n", 8, "image/png"},
	{"\xff\xd8\xff", 3, "image/jpeg"},
	{"GIF8", 4, "image/gif"},
	{"%PDF-", 5, "application/pdf"},
	{"PK\x03\x04", 4, "application/zip"},
	{"\x1f\x8b", 2, "application/gzip"},
	{"\xfd"
	 "7zXZ",
		6, "application/x-xz"},
	{"(\xb5/\xfd", 4, "application/zstd"},
	{"SQLite format 3", 15, "application/vnd.sqlite3"},
	{"\x7f"
	 "ELF",
		4, "application/x-executable"},
};

static const char *type_of(struct span head)
{
	for (size_t i = 0; i < ARRAY_LEN(magics); i++)
		if (head.n >= magics[i].n && memcmp(head.p, magics[i].bytes, magics[i].n) == 0)
			return magics[i].type;
	return "application/octet-stream";
}

static struct span last_component(struct span path)
{
	size_t n = path.n;

	while (n > 0 && path.p[n - 1] != '/')
		n--;
	return span_sub(path, n, path.n);
}

/* ---- reading ---- */

/* A regular file, held by the caller. */
static AWAITS int find_file(
	struct api_files *f, struct span path, struct fsal_object **ret, struct fsal_attr *ret_attr)
{
	int r = fsal_walk(&f->call, f->at, path, true, ret);

	if (r != 0)
		return r;
	fsal_ref(*ret);
	r = fsal_getattr(&f->call, *ret, ret_attr);
	if (r == 0 && (ret_attr->mode & S_IFMT) != S_IFREG)
		r = (ret_attr->mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
	if (r != 0)
		fsal_unref(*ret);
	return r;
}

static AWAITS int read_piece(struct api_files *f, struct fsal_object *o, uint64_t offset,
	char p[PIECE_BYTES], struct span *ret)
{
	struct fsal_post post;
	size_t n = 0;
	bool eof;

	api_files_step(f);
	int r = fsal_read(&f->call, o, offset, p, PIECE_BYTES, &n, &eof, &post);
	*ret = span_of(p, n);
	return r;
}

/* Header values of ASCII alone: other bytes, and quotes, become "_". */
static struct span attachment_name(struct api_files *f, struct span name)
{
	char *text = arena_printf(f->c->arena, "attachment; filename=\"" SPAN_FMT "\"",
		SPAN_ARG(span_sub(name, 0, LIMIT_PATH_COMPONENT_BYTES)));

	if (!text)
		return SPAN("attachment");
	for (char *p = text + sizeof("attachment; filename=\"") - 1; p[0] && p[1]; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '_';
	return span_cstr(text);
}

/* A file that becomes shorter meanwhile ends the connection: its length was told. */
static AWAITS void send_file(struct api_files *f, struct fsal_object *o,
	const struct fsal_attr *attr, struct span path, char *p)
{
	struct http_reply *reply = f->c->p;
	uint64_t at = 0;
	struct span piece;
	int r = read_piece(f, o, 0, p, &piece);

	if (r != 0) {
		api_files_refused(f, r, path);
		return;
	}
	http_reply_header(reply, "X-Content-Type-Options", SPAN("nosniff"));
	http_reply_header(reply, "Content-Disposition", attachment_name(f, last_component(path)));
	r = http_reply_begin(reply, 200, type_of(piece), (int64_t)attr->size_bytes);
	while (r == 0 && at < attr->size_bytes && piece.n) {
		piece = span_sub(piece, 0, (size_t)MIN(attr->size_bytes - at, piece.n));
		r = http_reply_write(reply, piece);
		at += piece.n;
		if (r == 0 && at < attr->size_bytes)
			r = read_piece(f, o, at, p, &piece);
	}
	if (r == 0 && at == attr->size_bytes)
		(void)!http_reply_end(reply);
}

void api_files_download(struct api_files *f, struct span path)
{
	char *p = arena_bytes(f->c->arena, PIECE_BYTES);
	struct fsal_object *o;
	struct fsal_attr attr;
	int r = p ? find_file(f, path, &o, &attr) : -ENOMEM;

	if (r != 0) {
		api_files_refused(f, r, path);
		return;
	}
	send_file(f, o, &attr, path, p);
	fsal_unref(o);
}

/* ---- what a file is ---- */

struct summary {
	crypto_hash_sha256_state hash;
	char head[SNIFFED_BYTES];
	size_t head_bytes;
	uint64_t bytes;
};

static void summary_add(struct summary *s, struct span piece)
{
	size_t n = MIN(sizeof(s->head) - s->head_bytes, piece.n);

	memcpy(s->head + s->head_bytes, piece.p, n);
	s->head_bytes += n;
	s->bytes += piece.n;
	crypto_hash_sha256_update(&s->hash, (const uint8_t *)piece.p, piece.n);
}

/* An AttachmentRef, and the words of the other SDK. */
static AWAITS void summary_answer(
	struct api_files *f, int status, struct summary *s, struct span path, struct span name)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * crypto_hash_sha256_BYTES);
	struct json_writer w = json_writer(&b);
	uint8_t hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256_final(&s->hash, hash);
	hex_encode(&hex, span_of(hash, sizeof(hash)));
	json_object(&w);
	api_put_uuid(&w, "volume_id", f->volume);
	json_field_span(&w, "path", path);
	json_field_span(&w, "name", name);
	json_field_cstr(&w, "mime_type", type_of(span_of(s->head, s->head_bytes)));
	json_field_i64(&w, "size", (int64_t)s->bytes);
	json_field_i64(&w, "size_bytes", (int64_t)s->bytes);
	json_field_span(&w, "sha256", buf_view(&hex));
	if (status == 201)
		api_put_time(&w, "uploaded_at", rt_wall_ns());
	json_end(&w);
	api_reply_end(f->c, status, &b);
}

void api_files_stat(struct api_files *f, struct span path)
{
	char *p = arena_bytes(f->c->arena, PIECE_BYTES);
	struct summary s = {0};
	struct fsal_object *o;
	struct fsal_attr attr;
	struct span piece = SPAN("-");
	int r = p ? find_file(f, path, &o, &attr) : -ENOMEM;

	crypto_hash_sha256_init(&s.hash);
	if (r == 0) {
		while (r == 0 && piece.n) {
			r = read_piece(f, o, s.bytes, p, &piece);
			if (r == 0)
				summary_add(&s, piece);
		}
		fsal_unref(o);
	}
	if (r != 0)
		api_files_refused(f, r, path);
	else
		summary_answer(f, 200, &s, path, last_component(path));
}

/* ---- writing ---- */

struct upload {
	struct api_files *f;
	struct span path; /* where it is to stand */
	struct span name; /* its last component */
	char part_name[VOLUME_PART_BYTES]; /* until then */
	struct fsal_object *dir, *file; /* held; NULL: not begun */
	struct summary summary;
	bool answered;
};

static AWAITS void refuse(struct upload *u, int status, const char *code, const char *why)
{
	if (!u->answered)
		api_error(u->f->c, status, code, "%s", why);
	u->answered = true;
}

/* 0, or what the file layer said. */
static AWAITS int begin(struct upload *u)
{
	static const struct fsal_sattr plain = {.set_mode = true, .mode = 0644};
	struct api_files *f = u->f;
	struct fsal_made made;
	struct fsal_attr attr;
	struct fsal_object *there;
	int r = fsal_walk(&f->call, f->at, u->path, true, &there);

	if (r == 0 && (fsal_getattr(&f->call, there, &attr) != 0 || S_ISDIR(attr.mode)))
		return -EISDIR;
	if (r != 0 && r != -ENOENT)
		return r;
	volume_part_name(u->part_name);
	u->name = last_component(u->path);
	struct span above = span_sub(u->path, 0, u->path.n - u->name.n);
	r = fsal_mkdirs(&f->call, f->at, span_sub(above, 0, above.n ? above.n - 1 : 0));
	if (r == 0)
		r = fsal_parent(&f->call, f->at, u->path, &u->dir, &u->name);
	if (r == 0)
		r = fsal_create(&f->call, u->dir, span_cstr(u->part_name), FSAL_GUARDED, &plain,
			NULL, &made);
	if (r == 0)
		u->file = fsal_ref(made.object);
	return r;
}

static AWAITS int add(struct upload *u, struct span piece)
{
	enum fsal_stability committed;
	struct fsal_wcc wcc;

	if (u->summary.bytes + piece.n > LIMIT_UPLOAD_BYTES)
		return -EFBIG;
	api_files_step(u->f);
	int r = fsal_write(
		&u->f->call, u->file, u->summary.bytes, piece, FSAL_UNSTABLE, &committed, &wcc);
	if (r == 0)
		summary_add(&u->summary, piece);
	return r;
}

static AWAITS int finish(struct upload *u)
{
	struct fsal_wcc a, b;

	api_files_step(u->f);
	int r = fsal_commit(&u->f->call, u->file, &a);
	if (r == 0)
		r = fsal_rename(
			&u->f->call, u->dir, span_cstr(u->part_name), u->dir, u->name, &a, &b);
	if (r == 0) {
		fsal_unref(u->file);
		u->file = NULL;
	}
	return r;
}

/* What was not finished goes. */
static AWAITS void upload_end(struct upload *u)
{
	struct fsal_wcc wcc;

	if (u->file) {
		fiber_shield_begin();
		api_files_step(u->f);
		(void)!fsal_remove(&u->f->call, u->dir, span_cstr(u->part_name), &wcc);
		fiber_shield_end();
		fsal_unref(u->file);
	}
	fsal_unref(u->dir);
}

/* False if answered. */
static AWAITS bool next_piece(struct upload *u, struct span *ret)
{
	int r = http_body_some(u->f->c->q, ret);

	if (r < 0)
		refuse(u, http_body_status(r), "bad_body", err_message(r));
	return r == 0;
}

static AWAITS bool check(struct upload *u, int r)
{
	if (r == 0)
		return true;
	if (!u->answered)
		api_files_refused(u->f, r, u->path);
	u->answered = true;
	return false;
}

/* A path that names a folder gets the file's own name behind it. */
static AWAITS bool take_path(struct upload *u, struct span text, const char *filename)
{
	bool folder = !text.n || text.p[text.n - 1] == '/';
	char *whole = arena_printf(
		u->f->c->arena, SPAN_FMT "%s", SPAN_ARG(text), folder && filename ? filename : "");

	if (!whole || (folder && (!filename || !*filename || strchr(filename, '/')))) {
		refuse(u, 422, "bad_path", "path must say where the file is to stand");
		return false;
	}
	bool good = api_files_path(u->f, span_cstr(whole), &u->path);
	u->answered = !good;
	return good;
}

static AWAITS void take_raw(struct upload *u, struct span asked)
{
	struct span piece = SPAN("-");

	if (!take_path(u, asked, NULL) || !check(u, begin(u)))
		return;
	while (piece.n)
		if (!next_piece(u, &piece) || (piece.n && !check(u, add(u, piece))))
			return;
	(void)check(u, finish(u));
}

/* One event of a form: the field `path`, and the first file. False: the end, or answered. */
static AWAITS bool take_event(struct upload *u, struct multipart *m, int event, struct span data,
	struct span asked, struct buf *path)
{
	bool is_path = strcmp(m->name, "path") == 0 && !m->filename[0];

	switch (event) {
	case MULTIPART_PART:
		if (is_path || !m->filename[0])
			return true;
		if (u->file) {
			refuse(u, 422, "bad_form", "the form has more than one file");
			return false;
		}
		return take_path(u, asked.n ? asked : buf_view(path), m->filename) &&
			check(u, begin(u));
	case MULTIPART_DATA:
		if (is_path)
			buf_span(path, data);
		return !m->filename[0] || check(u, add(u, data));
	case MULTIPART_END:
		if (!u->file)
			refuse(u, 422, "bad_form", "the form has no file");
		else
			(void)check(u, finish(u));
		return false;
	default:
		refuse(u, 400, "bad_form", err_message(event));
		return false;
	}
}

static AWAITS void take_form(struct upload *u, struct span content_type, struct span asked)
{
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	struct multipart m CLEANUP(multipart_fini);
	struct span piece, data;
	int r = multipart_init(&m, content_type);

	if (r < 0)
		refuse(u, 400, "bad_form", err_message(r));
	while (r == 0) {
		if (!next_piece(u, &piece))
			return;
		if (!piece.n) {
			refuse(u, 400, "bad_form", "the form ends before its last boundary");
			return;
		}
		while (piece.n) { /* what has come at once may be much */
			struct span part = span_sub(piece, 0, MIN(piece.n, (size_t)PIECE_BYTES));
			piece = span_sub(piece, part.n, piece.n);
			while ((r = multipart_next(&m, part, &data)) != MULTIPART_MORE) {
				part = (struct span){0};
				if (!take_event(u, &m, r, data, asked, &path))
					return;
			}
		}
		r = 0;
	}
}

void api_files_upload(struct api_files *f)
{
	struct upload u = {.f = f};
	struct span type = http_header_get(f->c->q->head, "content-type");
	struct span asked;

	crypto_hash_sha256_init(&u.summary.hash);
	if (!api_query(f->c, "path", &asked))
		return;
	if (span_starts(type, SPAN("multipart/")))
		take_form(&u, type, asked);
	else
		take_raw(&u, asked);
	bool whole = u.dir && !u.file;
	upload_end(&u);
	if (!u.answered && whole)
		summary_answer(f, 201, &u.summary, u.path, u.name);
}
