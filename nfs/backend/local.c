/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Volumes in local folders. Others may work in the same folder at the same time and may do what
 * they like there, so that nothing that was looked up is trusted a moment later: what is operated
 * on is a descriptor, or a single name in one. Attributes are asked for each time: the kernel's
 * cache is the cache.
 */
#include "nfs/backend/local.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DENTS_BYTES = 8 * 1024, OPEN_MIN = 64 };

static int local_root(void *volume, const struct fsal_io *io, struct fsal_new *ret)
{
	struct local_volume *v = volume;
	int r = local_statx(v, v->root, "", &ret->attr);

	ret->carry = 0;
	if (r < 0)
		return r;
	return local_identify(v, v->root, "", ret->attr.file_id, ret->attr.born_ns, &ret->id);
}

static int local_lookup(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, struct fsal_attr *ret)
{
	struct local_name n;
	int r = local_name(name, &n), fd = local_fd(volume, dir, ACCESS_PATH);

	if (r < 0 || fd < 0)
		return r < 0 ? r : fd;
	return local_statx(volume, fd, n.text, ret);
}

static int identify(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	const struct fsal_attr *attr, struct fsal_id *ret)
{
	struct local_name n;
	int r = local_name(name, &n), fd = local_fd(volume, dir, ACCESS_PATH);

	if (r < 0 || fd < 0)
		return r < 0 ? r : fd;
	return local_identify(volume, fd, n.text, attr->file_id, attr->born_ns, ret);
}

static void local_forget(void *volume, struct fsal_node *n)
{
	local_note(volume, n);
	local_fd_close(volume, n);
}

/* ---- listings ---- */

struct kernel_dirent { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static int local_readdir(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	uint64_t cookie, fsal_backend_dirent_fn fn, void *ctx, bool *ret_eof)
{
	struct local_volume *v = volume;
	int fd = local_fd(v, dir, ACCESS_READ);

	if (fd < 0)
		return fd;
	if (cookie > INT64_MAX || lseek(fd, (off_t)cookie, SEEK_SET) < 0)
		return FSAL_BAD_COOKIE;
	*ret_eof = false;
	for (;;) {
		long n = syscall(SYS_getdents64, fd, v->dents, DENTS_BYTES);
		if (n < 0)
			return -errno;
		if (n == 0) {
			*ret_eof = true;
			return 0;
		}
		for (long at = 0; at < n;) {
			const struct kernel_dirent *e = (const void *)(v->dents + at);
			if (!fn(ctx, span_cstr(e->name), e->ino, (uint64_t)e->off))
				return 0;
			at += e->reclen;
		}
	}
}

static int local_statfs(void *volume, const struct fsal_io *io, struct fsal_statfs *ret)
{
	struct local_volume *v = volume;
	struct statvfs s;

	if (fstatvfs(v->root, &s) < 0)
		return -errno;
	*ret = (struct fsal_statfs){
		.bytes_total = s.f_blocks * s.f_frsize,
		.bytes_free = s.f_bfree * s.f_frsize,
		.bytes_available = s.f_bavail * s.f_frsize,
		.files_total = s.f_files,
		.files_free = s.f_ffree,
		.files_available = s.f_favail,
	};
	return 0;
}

/* ---- opening ---- */

static void local_close(void *volume)
{
	struct local_volume *v = volume;

	CHECK(list_empty(&v->open));
	local_index_free(v);
	close(v->root);
	free(v->dents);
	free(v);
}

static const struct fsal_backend local_backend = {
	.name = "local",
	.limits = {.file_bytes_max = INT64_MAX,
		.link_max = 32000,
		.name_bytes_max = LIMIT_PATH_COMPONENT_BYTES,
		.time_granularity_ns = 1,
		.has_links = true,
		.has_symlinks = true,
		.has_rename = true},
	.root = local_root,
	.lookup = local_lookup,
	.identify = identify,
	.find = local_find,
	.adopt = local_adopt,
	.forget = local_forget,
	.getattr = local_getattr,
	.setattr = local_setattr,
	.readlink = local_readlink,
	.read = local_read,
	.write = local_write,
	.commit = local_commit,
	.make = local_make,
	.made_by = local_made_by,
	.link = local_link,
	.remove = local_remove,
	.rename = local_rename,
	.replace = local_replace,
	.readdir = local_readdir,
	.statfs = local_statfs,
	.usage = local_usage,
	.close = local_close,
};

static bool has_capability(int number)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return data[CAP_TO_INDEX(number)].effective & CAP_TO_MASK(number);
}

/* Descriptors are the whole process's: a volume takes no more than a quarter of them. */
static size_t open_max_of(const struct backend_local_options *o)
{
	struct rlimit l;
	size_t max = 1024;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0)
		max = (size_t)MIN(l.rlim_cur, (rlim_t)1 << 20) / 4;
	max = MIN(max, o->descriptors_max ? o->descriptors_max : (size_t)LIMIT_FSAL_DESCRIPTORS);
	return max < OPEN_MIN ? OPEN_MIN : max;
}

int backend_local_open(struct fsal *f, int root, const struct backend_local_options *o,
	struct span volume_id, struct fsal_volume **ret)
{
	struct local_volume *v = calloc(1, sizeof(*v));
	struct stat st;

	if (v)
		v->dents = malloc(DENTS_BYTES);
	/* Opened anew, so that nobody else moves its offset. */
	int own = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = own < 0 ? -errno : 0;
	close(root);
	if (!v || !v->dents)
		r = -ENOMEM;
	if (r == 0 && fstat(own, &st) < 0)
		r = -errno;
	if (r < 0) {
		if (own >= 0)
			close(own);
		if (v)
			free(v->dents);
		free(v);
		return err_sys(r, "open volume '" SPAN_FMT "'", SPAN_ARG(volume_id));
	}
	v->root = own;
	v->root_id = st.st_ino;
	v->dev_major = major(st.st_dev);
	v->dev_minor = minor(st.st_dev);
	v->offload = o->offload;
	v->open_max = open_max_of(o);
	v->open_handle = o->open_handle;
	v->open_handle_ctx = o->open_handle_ctx;
	v->by_handle = has_capability(CAP_DAC_READ_SEARCH);
	v->widens = !has_capability(CAP_DAC_OVERRIDE);
	v->read_nowait = v->write_nowait = true;
	list_init(&v->open);
	waitq_init(&v->walked);
	return err_trace(fsal_volume_new(f, &local_backend, v, volume_id, ret));
}
