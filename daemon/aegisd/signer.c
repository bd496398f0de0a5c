/* SPDX-License-Identifier: AGPL-3.0-only */
/* Audit heads are signed by the helper, which keeps the key and signs only what extends its last.
 */
#include "daemon/aegisd/aegisd.h"

struct ask_key {
	struct helper_request request;
	uint8_t *key;
};

static int do_key(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	return err_trace(
		helper_public_key(h, container_of(q, struct ask_key, request)->key, deadline_ns));
}

int signer_key(struct helper_link *l, uint8_t ret_key[HEAD_PUBLIC_KEY_BYTES], int64_t deadline_ns)
{
	struct ask_key ask = {{.fn = do_key}, ret_key};
	return err_trace(helper_ask(l, &ask.request, deadline_ns));
}

struct ask_sign {
	struct helper_request request;
	const struct head *head;
	struct head_signed *ret;
	struct head_signed *ret_last;
};

/* Asked again after a lost connection, the helper gives the same answer. */
static int do_sign(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_sign *a = container_of(q, struct ask_sign, request);
	return err_trace(helper_sign_head(h, a->head, a->ret, a->ret_last, deadline_ns));
}

int signer_sign(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns)
{
	struct ask_sign ask = {{.fn = do_sign}, head, ret, ret_last};
	return err_trace(helper_ask(ctx, &ask.request, deadline_ns));
}
