/* SPDX-License-Identifier: AGPL-3.0-only */
/* A new snapshot of the configuration, or the old one and a word why. */
#include "daemon/aegisd/aegisd.h"
#include <stdio.h>

enum { FINDINGS_BYTES = 1024 * 1024 };

struct errand {
	const struct config *runs; /* with which the daemon started */
	const struct config *fresh;
	struct buf findings;
};

/* On an offload thread: reading files and looking up names blocks. */
static int load(void *arg)
{
	static const struct config_environment env = {0};
	struct errand *e = arg;
	struct report report;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_API_MANIFEST_ARENA_BYTES);

	int r = a ? report_init(&report, a, e->runs->file) : -ENOMEM;
	if (r == 0)
		r = config_reload(e->runs, &env, &report, &e->fresh);
	if (r < 0)
		buf_puts(&e->findings, err_message(r));
	else
		report_text(&report, &e->findings);
	err_clear();
	return r;
}

bool aegisd_reload(
	struct aegisd *d, struct offload *files, struct tls_server *tls, struct buf *findings)
{
	struct errand e = {.runs = d->first_config, .findings = buf_init(FINDINGS_BYTES)};

	if (!d->config->file) {
		log_warn("reload: there is no configuration file: the embedded defaults go on to "
			 "hold");
		return true;
	}
	int r = offload_call(files, load, &e, deadline_in_ms(60000));
	if (r != 0) {
		log_error("reload: the old configuration goes on to hold: " SPAN_FMT,
			SPAN_ARG(buf_view(&e.findings)));
	} else {
		if (e.findings.len)
			log_warn("reload: " SPAN_FMT, SPAN_ARG(buf_view(&e.findings)));
		const struct config *old = d->config;
		d->config = e.fresh;
		config_unref(old);
		log_info("reload: configuration loaded again from %s", d->config->file);
	}
	bool taken = r == 0;
	err_clear();
	buf_span(findings, buf_view(&e.findings));
	buf_fini(&e.findings);
	r = tls ? tls_server_reload(tls) : 0;
	if (r < 0)
		err_log(r, "reload: the certificate stays as it was");
	return taken;
}
