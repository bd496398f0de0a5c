/* SPDX-License-Identifier: AGPL-3.0-only */
/* Audit heads are signed by the helper, which keeps the key and signs only what extends its last.
 */
#include "daemon/aegisd/aegisd.h"

int signer_open(struct signer *s, const char *socket_path, uint8_t ret_key[HEAD_PUBLIC_KEY_BYTES],
	int64_t deadline_ns)
{
	*s = (struct signer){.socket_path = socket_path};
	for (int tries = 0;; tries++) {
		int r = helper_connect(socket_path, &s->helper, deadline_ns);
		if (r == 0)
			return err_trace(helper_public_key(s->helper, ret_key, deadline_ns));
		if (r == -ECANCELED || rt_now_ns() + NS_PER_S / 2 >= deadline_ns)
			return err_wrap(r, "aegis-helper at '%s' (start it first; it needs root)",
				socket_path);
		if (tries == 0)
			log_info("waiting for aegis-helper at %s", socket_path);
		r = rt_sleep_until(rt_now_ns() + NS_PER_S / 4);
		if (r < 0)
			return err_trace(r);
	}
}

void signer_close(struct signer *s)
{
	s->helper = helper_close(s->helper);
}

int signer_sign(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns)
{
	struct signer *s = ctx;
	int r = s->helper ? 0 : helper_connect(s->socket_path, &s->helper, deadline_ns);
	if (r == 0)
		r = helper_sign_head(s->helper, head, ret, ret_last, deadline_ns);
	if (r == -ENOTCONN)
		s->helper = helper_close(s->helper);
	return err_trace(r);
}
