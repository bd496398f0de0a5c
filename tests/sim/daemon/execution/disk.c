/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A layer over SQLite's own file system: each file holds the real one behind it. Everything is
 * passed on; only writing and syncing ask the simulation first. Outside of runs nothing fails.
 */
#include "tests/sim/daemon/execution/disk.h"
#include "daemon/rt/rt.h"
#include "daemon/rt/sim.h"
#include <sqlite3.h>

struct file {
	sqlite3_file base;
	sqlite3_file *real; /* in the bytes after this struct */
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct file *)f)->real;
}

static bool fails(const char *what)
{
	return worker_self() && sim_fails(what);
}

static int do_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	return fails("disk write") ? SQLITE_FULL
				   : real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
}

/* No power is lost here: the real sync would only take time. */
static int do_sync(sqlite3_file *f, int flags)
{
	return fails("disk sync") ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

#define PASS(name, parameters, ...) \
	static int do_##name parameters \
	{ \
		return real_of(f)->pMethods->x##name(real_of(f), ##__VA_ARGS__); \
	}

PASS(Read, (sqlite3_file * f, void *p, int n, sqlite3_int64 at), p, n, at)
PASS(Truncate, (sqlite3_file * f, sqlite3_int64 size), size)
PASS(FileSize, (sqlite3_file * f, sqlite3_int64 *ret), ret)
PASS(Lock, (sqlite3_file * f, int level), level)
PASS(Unlock, (sqlite3_file * f, int level), level)
PASS(CheckReservedLock, (sqlite3_file * f, int *ret), ret)
PASS(FileControl, (sqlite3_file * f, int op, void *arg), op, arg)
PASS(SectorSize, (sqlite3_file * f))
PASS(DeviceCharacteristics, (sqlite3_file * f))
PASS(ShmMap, (sqlite3_file * f, int page, int bytes, int extend, void volatile **ret), page, bytes,
	extend, ret)
PASS(ShmLock, (sqlite3_file * f, int offset, int n, int flags), offset, n, flags)
PASS(ShmUnmap, (sqlite3_file * f, int remove), remove)

static int do_close(sqlite3_file *f)
{
	return real_of(f)->pMethods ? real_of(f)->pMethods->xClose(real_of(f)) : SQLITE_OK;
}

static void do_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = do_close,
	.xRead = do_Read,
	.xWrite = do_write,
	.xTruncate = do_Truncate,
	.xSync = do_sync,
	.xFileSize = do_FileSize,
	.xLock = do_Lock,
	.xUnlock = do_Unlock,
	.xCheckReservedLock = do_CheckReservedLock,
	.xFileControl = do_FileControl,
	.xSectorSize = do_SectorSize,
	.xDeviceCharacteristics = do_DeviceCharacteristics,
	.xShmMap = do_ShmMap,
	.xShmLock = do_ShmLock,
	.xShmBarrier = do_barrier,
	.xShmUnmap = do_ShmUnmap,
};

static int do_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct file *mine = (struct file *)f;
	mine->real = (sqlite3_file *)(mine + 1);
	int r = real_vfs->xOpen(real_vfs, name, mine->real, flags, ret_flags);
	mine->base.pMethods = r == SQLITE_OK ? &methods : NULL;
	return r;
}

void disk_may_fail(void)
{
	static sqlite3_vfs layer;
	real_vfs = sqlite3_vfs_find(NULL);
	layer = *real_vfs;
	layer.zName = "disk-that-may-fail";
	layer.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
	layer.xOpen = do_open;
	sqlite3_vfs_register(&layer, 1);
}
