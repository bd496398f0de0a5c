/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Content. What is in the page cache is copied at once, on the caller's stack; what would wait for
 * a disk goes through the ring, from a fiber.
 */
#include "nfs/backend/local.h"
#include <unistd.h>

int local_readlink(void *volume, const struct fsal_io *io, struct fsal_node *n, char *p,
	size_t size, size_t *ret_n)
{
	int fd = local_fd(volume, n, ACCESS_PATH);
	if (fd < 0)
		return fd;
	ssize_t got = readlinkat(fd, "", p, size);
	if (got < 0)
		return -errno;
	*ret_n = (size_t)got;
	return 0;
}

/* One step of a read or write. -EAGAIN: it would wait. */
static ssize_t read_step(struct local_volume *v, int fd, void *p, size_t n, uint64_t offset)
{
	struct iovec iov = {p, n};
	ssize_t r = preadv2(fd, &iov, 1, (off_t)offset, v->read_nowait ? RWF_NOWAIT : 0);

	if (r < 0 && errno == EOPNOTSUPP && v->read_nowait) {
		v->read_nowait = false;
		r = preadv2(fd, &iov, 1, (off_t)offset, 0);
	}
	return r < 0 ? -errno : r;
}

static ssize_t write_step(struct local_volume *v, int fd, const void *p, size_t n, uint64_t offset)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};
	ssize_t r = pwritev2(fd, &iov, 1, (off_t)offset, v->write_nowait ? RWF_NOWAIT : 0);

	if (r < 0 && errno == EOPNOTSUPP && v->write_nowait) {
		v->write_nowait = false;
		r = pwritev2(fd, &iov, 1, (off_t)offset, 0);
	}
	return r < 0 ? -errno : r;
}

int local_read(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	void *p, size_t size, size_t *ret_n)
{
	struct local_volume *v = volume;
	struct local_node *l = local_node(n);
	size_t done = 0;
	ssize_t r = 1;
	int fd = local_fd(v, n, ACCESS_READ);

	if (fd < 0)
		return fd;
	l->busy++;
	while (done < size && r != 0) {
		r = read_step(v, fd, (char *)p + done, size - done, offset + done);
		if (r == -EAGAIN && io->may_park)
			r = rt_read(fd, (char *)p + done, size - done, (int64_t)(offset + done),
				io->deadline_ns);
		if (r < 0 && r != -EINTR)
			break;
		done += r > 0 ? (size_t)r : 0;
	}
	l->busy--;
	if (r == -EAGAIN)
		return FSAL_WOULD_PARK;
	if (r < 0 && r != -EINTR)
		return (int)r;
	*ret_n = done;
	return 0;
}

int local_write(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	struct span bytes)
{
	struct local_volume *v = volume;
	struct local_node *l = local_node(n);
	size_t done = 0;
	ssize_t r = 0;
	int fd = local_fd(v, n, ACCESS_WRITE);

	if (fd < 0)
		return fd;
	l->busy++;
	while (done < bytes.n) {
		r = write_step(v, fd, bytes.p + done, bytes.n - done, offset + done);
		if (r == -EAGAIN && io->may_park)
			r = rt_write(fd, bytes.p + done, bytes.n - done, (int64_t)(offset + done),
				io->deadline_ns);
		if (r < 0 && r != -EINTR)
			break;
		done += r > 0 ? (size_t)r : 0;
	}
	l->busy--;
	/* What was written already will be written again, with the same bytes. */
	if (r == -EAGAIN)
		return FSAL_WOULD_PARK;
	return done == bytes.n ? 0 : (int)r;
}

int local_commit(void *volume, const struct fsal_io *io, struct fsal_node *n)
{
	struct local_node *l = local_node(n);
	int fd = local_fd(volume, n, ACCESS_READ);

	if (fd < 0)
		return fd;
	if (!io->may_park)
		return FSAL_WOULD_PARK;
	l->busy++;
	int r = rt_fsync(fd, false, io->deadline_ns);
	l->busy--;
	return r;
}
