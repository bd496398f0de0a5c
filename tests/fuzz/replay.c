/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Feeds every file of a corpus folder to a fuzz target, so that what a fuzzer once found stays
 * found in builds without libFuzzer. The argument is the folder; one TAP case per target. A crash
 * is the failure; an empty folder fails too, since it would test nothing.
 */
#include "daemon/base/base.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 64 * 1024 * 1024 };

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* The input gets a block of exactly its size, as libFuzzer does it. */
static int replay(const char *folder, const char *name)
{
	char path[1024];
	struct buf b CLEANUP(buf_fini) = buf_init(INPUT_BYTES_MAX);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int r = fd_read_file(path, &b);
	if (r < 0)
		return err_trace(r);
	uint8_t *exact = malloc(b.len ? b.len : 1);
	CHECK(exact);
	if (b.len > 0)
		memcpy(exact, b.data, b.len);
	printf("# %s\n", name); /* the last one printed is the one that crashed */
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, b.len);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent **files;
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	const char *slash = strrchr(argv[1], '/');
	const char *target = slash ? slash + 1 : argv[1];
	printf("1..1\n");
	int count = scandir(argv[1], &files, visible, alphasort);
	if (count <= 0) {
		printf("not ok 1 - corpus %s\n# %s is missing or empty\n", target, argv[1]);
		return 1;
	}
	int r = 0;
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = replay(argv[1], files[i]->d_name);
		free(files[i]);
	}
	free(files);
	if (r < 0)
		printf("not ok 1 - corpus %s\n# %s\n", target, err_message(r));
	else
		printf("ok 1 - corpus %s, %d inputs\n", target, count);
	return r < 0;
}
