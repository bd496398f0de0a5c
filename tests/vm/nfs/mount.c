/* SPDX-License-Identifier: AGPL-3.0-only */
/* nfs_mount SOURCE TARGET OPTIONS: mount(2) of NFS, where the kernel itself asks for the handle. */
#include <stdio.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
	if (argc != 4 || mount(argv[1], argv[2], "nfs", 0, argv[3]) < 0) {
		perror("nfs_mount");
		return 1;
	}
	return 0;
}
