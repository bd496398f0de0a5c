/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * bench_nfs_load HOST PORT EXPORT OP SIZE CONNECTIONS DEPTH SECONDS [PID [MOUNTPORT [RATE]]]: one
 * cell of the table, as one line of JSON. EXPORT "-": the peer is bench_nfs_echo. OP "pread": what
 * a pread of SIZE bytes from a file named EXPORT costs by itself.
 */
#include "tests/bench/nfs/load.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PREADS = 2000 };

static int64_t own_cpu_ns(void)
{
	struct rusage u;
	(void)getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
		(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static int measure_pread(const char *path, uint32_t size)
{
	char *p = malloc(size);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (!p || fd < 0)
		load_die("%s: %s", path, strerror(errno));
	memset(p, 1, size);
	for (int i = 0; i < LOAD_FILES; i++)
		if (pwrite(fd, p, size, (off_t)i * size) != (ssize_t)size)
			load_die("%s: %s", path, strerror(errno));
	int64_t before = own_cpu_ns();
	for (int i = 0; i < PREADS; i++)
		if (pread(fd, p, size, (off_t)(i % LOAD_FILES) * size) != (ssize_t)size)
			load_die("pread");
	printf("{\"op\":\"pread\",\"cpu_us\":%.3f}\n",
		(double)(own_cpu_ns() - before) / PREADS / 1e3);
	close(fd);
	unlink(path);
	free(p);
	return 0;
}

static enum load_op op_of(const char *name)
{
	for (int i = 0; i < LOAD_OP_COUNT; i++)
		if (strcmp(load_op_names[i], name) == 0)
			return (enum load_op)i;
	load_die("unknown operation %s", name);
}

int main(int argc, char **argv)
{
	if (argc < 9)
		load_die("usage: HOST PORT EXPORT OP SIZE CONNECTIONS DEPTH SECONDS [PID "
			 "[MOUNTPORT [RATE]]]");
	if (strcmp(argv[4], "pread") == 0)
		return measure_pread(argv[3], (uint32_t)atoi(argv[5]));
	struct load l = {
		.host = argv[1],
		.port = atoi(argv[2]),
		.export_path = argv[3],
		.op = op_of(argv[4]),
		.size = (uint32_t)atoi(argv[5]),
		.connections = atoi(argv[6]),
		.depth = atoi(argv[7]),
		.seconds = atof(argv[8]),
		.pid = argc > 9 ? atoi(argv[9]) : 0,
		.mount_port = argc > 10 ? atoi(argv[10]) : atoi(argv[2]),
		.rate = argc > 11 ? atof(argv[11]) : 0,
		.echo = strcmp(argv[3], "-") == 0,
	};
	if (l.depth > 256 || l.depth < 1 || l.connections < 1)
		load_die("depth 1 to 256, connections from 1");
	(void)!getrandom(&l.first_xid, sizeof(l.first_xid), 0);
	l.file_bytes = MAX(l.size, (uint32_t)4096) * (l.size < 1024 * 1024 ? UINT64_C(4) : 1);
	load_begin(&l);
	struct load_result r = load_run(&l);
	if (l.op == LOAD_WRITE && !l.echo)
		load_read_back(&l);
	load_end(&l);
	printf("{\"op\":\"%s\",\"size\":%u,\"connections\":%d,\"depth\":%d,\"calls\":%llu,"
	       "\"per_second\":%.0f,\"cpu_us\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%."
	       "1f}\n",
		load_op_names[l.op], l.size, l.connections, l.depth, (unsigned long long)r.calls,
		(double)r.calls / r.seconds, r.server_cpu_us, r.p50_us, r.p99_us, r.p999_us);
	return 0;
}
