/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any bytes as the one segment of a journal: read, repaired over, verified, opened by the writer.
 */
#include "daemon/audit/audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void remove_dir(void)
{
	int r = fd_remove_tree(AT_FDCWD, dir);

	(void)r;
}

static void write_segment(const uint8_t *data, size_t size)
{
	char path[128];

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/tmp/aegis-fuzz-XXXXXX");
		CHECK(mkdtemp(dir));
		atexit(remove_dir);
		log_setup(LOG_ERROR, LOG_TEXT, "fuzz");
	}
	snprintf(path, sizeof(path), "%s/00000000000000000001.journal", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(fd_write_all(fd, span_of(data, size)) == 0);
	close(fd);
}

static uint64_t read_all(void)
{
	struct audit_reader *reader;
	struct audit_record r;
	uint64_t count = 0;
	int res = audit_reader_open(dir, &reader);

	if (res < 0)
		return 0;
	while (audit_reader_next(reader, &r) == 0)
		count++;
	audit_reader_close(reader);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct audit_verify_options none = {0};
	struct audit_verdict v = {0};
	struct journal_options o = {.dir = dir, .sync = JOURNAL_SYNC_NONE};
	struct journal *j;

	if (size > 1 << 20)
		return 0;
	write_segment(data, size);
	uint64_t before = read_all();
	int r = audit_verify(dir, &none, &v);
	CHECK(r < 0 || !v.newest_proven);
	CHECK(r < 0 || !v.consistent || v.records == before);
	/* The writer goes on behind what could be read, or refuses; it never drops a record that
	 * was there. */
	if (journal_open(&o, &j) == 0) {
		journal_close(j);
		CHECK(read_all() == before + 1);
	}
	err_clear();
	return 0;
}
