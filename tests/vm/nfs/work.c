/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * nfs_work mmap FILE: what is written through a shared mapping, is read, and the reverse.
 * nfs_work list DIRECTORY: the number of its entries; twice the same name is a failure.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 3 * 1024 * 1024 + 777 };

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static unsigned char byte_at(size_t i, unsigned turn)
{
	return (unsigned char)((i * 31 + i / 4096 + turn) % 251);
}

static int check(const unsigned char *p, unsigned turn)
{
	for (size_t i = 0; i < BYTES; i++)
		if (p[i] != byte_at(i, turn)) {
			fprintf(stderr, "byte %zu of turn %u is %u\n", i, turn, p[i]);
			return 1;
		}
	return 0;
}

static int use_mapping(const char *path)
{
	static unsigned char room[BYTES];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || ftruncate(fd, BYTES) < 0)
		return fail(path);
	unsigned char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return fail("mmap");
	for (size_t i = 0; i < BYTES; i++)
		p[i] = byte_at(i, 1);
	if (msync(p, BYTES, MS_SYNC) < 0)
		return fail("msync");
	if (pread(fd, room, BYTES, 0) != BYTES)
		return fail("pread");
	int r = check(room, 1);
	for (size_t i = 0; i < BYTES; i++)
		room[i] = byte_at(i, 2);
	if (pwrite(fd, room, BYTES, 0) != BYTES)
		return fail("pwrite");
	r |= check(p, 2);
	for (size_t i = 0; i < BYTES; i += 4096)
		p[i] = byte_at(i, 2); /* a page here and there is dirty when it ends */
	if (munmap(p, BYTES) < 0 || fsync(fd) < 0 || close(fd) < 0)
		return fail("close");
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(const char *path)
{
	size_t n = 0, cap = 1 << 18;
	char **names = malloc(cap * sizeof(*names));
	DIR *d = opendir(path);
	if (!d || !names) {
		free(names);
		return fail(path);
	}
	for (struct dirent *e; n < cap && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			names[n++] = strdup(e->d_name);
	closedir(d);
	qsort(names, n, sizeof(*names), by_name);
	int r = 0;
	for (size_t i = 1; i < n; i++)
		if (strcmp(names[i - 1], names[i]) == 0) {
			fprintf(stderr, "%s twice\n", names[i]);
			r = 1;
		}
	printf("%zu\n", n);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "mmap") == 0)
		return use_mapping(argv[2]);
	if (argc == 3 && strcmp(argv[1], "list") == 0)
		return list(argv[2]);
	fputs("nfs_work mmap FILE | list DIRECTORY\n", stderr);
	return 2;
}
