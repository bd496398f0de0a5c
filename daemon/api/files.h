/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/api: a volume's files, opened for one request. */
#pragma once

#include "daemon/api/call.h"

enum { FILES_STEP_MS = 60 * 1000 }; /* of one step of what may take long */

struct api_files {
	struct api_call *c;
	struct uuid volume;
	struct volume_files *files;
	struct fsal_attachment *at;
	struct fsal_call call;
	struct decision decision;
};

/* The volume that {id} names; false if answered. What was opened is to be closed. */
AWAITS bool api_files_open(struct api_call *c, bool writes, struct api_files *ret);
AWAITS void api_files_close(struct api_files *f);
void api_files_step(struct api_files *f); /* gives the next operations their time */
/* Canonical, relative to the root, which is ""; false if answered. */
AWAITS bool api_files_path(struct api_files *f, struct span text, struct span *ret);
/* Answers what an operation of the file layer returned. */
AWAITS void api_files_refused(struct api_files *f, int r, struct span path);

/* ---- transfer.c: these answer ---- */

AWAITS void api_files_stat(struct api_files *f, struct span path);
AWAITS void api_files_download(struct api_files *f, struct span path);
AWAITS void api_files_upload(struct api_files *f);

/* ---- volumes.c ---- */

AWAITS bool api_volume_named(struct api_call *c, struct store_volume *ret);
/* Answers what a refusal or an error was; true if it was one. */
AWAITS bool api_volume_refused(struct api_call *c, int r, struct span why, const char *what);
