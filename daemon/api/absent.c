/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Routes that upstream documents or its SDKs call, and that this build does not serve. They answer
 * 501 with the feature's name, so that a client learns what is missing rather than that it
 * mistyped.
 */
#include "daemon/api/call.h"

struct absent {
	const char *feature;
	const char *get, *post, *put, *patch,
		*delete; /* patterns, separated by blanks; NULL: none */
};

static const struct absent features[] = {
	{.feature = "Tenant administration",
		.get = "/v1/admin/tenants /v1/admin/rate-limits/overrides "
		       "/v1/admin/rate-limits/usage",
		.post = "/v1/admin/tenants /v1/admin/tenants/{slug}/suspend "
			"/v1/admin/rate-limits/overrides",
		.delete = "/v1/admin/tenants/{slug} /v1/admin/rate-limits/overrides/{id}"},
	{.feature = "Scope changes of agents",
		.post = "/v1/agents/{id}/scope",
		.patch = "/v1/agents/{id}/scope"},
	{.feature = "API keys",
		.get = "/v1/api-keys",
		.post = "/v1/api-keys /v1/api-keys/validate",
		.delete = "/v1/api-keys/{id}"},
	{.feature = "Billing",
		.get = "/v1/billing/invoices /v1/billing/prices /v1/billing/subscription",
		.post = "/v1/billing/change-tier /v1/billing/checkout /v1/billing/portal "
			"/v1/billing/preview-tier-change /v1/billing/seats"},
	{.feature = "Canvas sessions",
		.get = "/v1/canvas/sessions /v1/canvas/sessions/{id} "
		       "/v1/canvas/sessions/{id}/events",
		.post = "/v1/canvas/sessions",
		.patch = "/v1/canvas/sessions/{id}",
		.delete = "/v1/canvas/sessions/{id}"},
	{.feature = "Clusters", .get = "/v1/cluster/nodes /v1/cluster/status"},
	{.feature = "Colonies (teams)",
		.get = "/v1/colony/invitations /v1/colony/members /v1/colony/saml "
		       "/v1/colony/subscription "
		       "/v1/colony/teams",
		.post = "/v1/colony/invitations /v1/colony/invitations/{id}/accept "
			"/v1/colony/members "
			"/v1/colony/teams /v1/consumer/ensure-provisioned",
		.put = "/v1/colony/roles /v1/colony/saml",
		.patch = "/v1/colony/members/{id}",
		.delete = "/v1/colony/invitations/{id} /v1/colony/members/{id} "
			  "/v1/colony/teams/{id}"},
	{.feature = "Cortex", .get = "/v1/cortex/metrics /v1/cortex/patterns /v1/cortex/skills"},
	{.feature = "Credentials",
		.get = "/v1/credentials /v1/credentials/{id} /v1/credentials/{id}/grants "
		       "/v1/credentials/oauth/callback",
		.post = "/v1/credentials/api-key /v1/credentials/api-keys "
			"/v1/credentials/device/poll "
			"/v1/credentials/oauth/callback /v1/credentials/oauth/device/poll "
			"/v1/credentials/oauth/initiate /v1/credentials/{id}/grants "
			"/v1/credentials/{id}/rotate",
		.delete = "/v1/credentials/{id} /v1/credentials/{id}/grants/{grant}"},
	{.feature = "Dashboards",
		.get = "/v1/dashboard/summary /v1/observability/dashboard "
		       "/v1/observability/security-incidents /v1/observability/storage-violations "
		       "/v1/security/incidents /v1/storage/violations"},
	{.feature = "Edge hosts",
		.get = "/v1/edge/fleet/runs /v1/edge/fleet/runs/{id} /v1/edge/groups "
		       "/v1/edge/groups/{id} "
		       "/v1/edge/hosts /v1/edge/hosts/{id}",
		.post = "/v1/edge/enrollment-tokens /v1/edge/fleet/invoke /v1/edge/fleet/preview "
			"/v1/edge/fleet/{id}/cancel /v1/edge/groups",
		.patch = "/v1/edge/groups/{id} /v1/edge/hosts/{id}",
		.delete = "/v1/edge/groups/{id} /v1/edge/hosts/{id}"},
	{.feature = "Human approvals",
		.get = "/v1/human-approvals /v1/human-approvals/{id}",
		.post = "/v1/human-approvals/{id}/approve /v1/human-approvals/{id}/reject"},
	{.feature = "Scripts",
		.get = "/v1/scripts /v1/scripts/{id}",
		.post = "/v1/scripts",
		.put = "/v1/scripts/{id}",
		.delete = "/v1/scripts/{id}"},
	{.feature = "Secrets",
		.get = "/v1/secrets /v1/secrets/{path...}",
		.put = "/v1/secrets/{path...}",
		.delete = "/v1/secrets/{path...}"},
	{.feature = "Stimuli and webhooks",
		.get = "/v1/stimuli /v1/stimuli/{id}",
		.post = "/v1/stimuli /v1/webhooks/{source}"},
	{.feature = "Git storage",
		.get = "/v1/storage/git /v1/storage/git/{id} /v1/storage/git/{id}/diff",
		.post = "/v1/storage/git /v1/storage/git/{id}/commit /v1/storage/git/{id}/push "
			"/v1/storage/git/{id}/refresh",
		.delete = "/v1/storage/git/{id}"},
	{.feature = "Swarms", .get = "/v1/swarms /v1/swarms/{id}"},
	{.feature = "Rate limits of users",
		.get = "/v1/user/rate-limits /v1/user/rate-limits/usage"},
	{.feature = "Workflows",
		.get = "/v1/workflows /v1/workflows/{id} /v1/workflows/{id}/versions "
		       "/v1/workflows/{id}/yaml "
		       "/v1/workflows/executions /v1/workflows/executions/{eid} "
		       "/v1/workflows/executions/{eid}/logs "
		       "/v1/workflows/executions/{eid}/logs/stream",
		.post = "/v1/workflows /v1/workflows/temporal/execute "
			"/v1/workflows/temporal/register "
			"/v1/workflows/{id}/execute /v1/workflows/{id}/run "
			"/v1/workflows/{id}/scope "
			"/v1/workflows/executions/{eid}/cancel "
			"/v1/workflows/executions/{eid}/signal "
			"/v1/temporal-events",
		.patch = "/v1/workflows/{id}/scope",
		.delete = "/v1/workflows/{id} /v1/workflows/executions/{eid}"},
};

/* The router keeps views of the patterns: each piece of a list above gets a place of its own. */
static int add(struct api *api, enum http_method m, const char *list, const char *feature)
{
	struct span rest = span_cstr(list), pattern;
	bool done = rest.n == 0;
	while (span_split(&rest, ' ', &done, &pattern)) {
		const char *kept = arena_cstr(api->texts, pattern);
		int r = kept ? 0 : err_raise(-ENOMEM, "api: out of memory");
		if (r == 0 && pattern.n)
			r = router_add(api->absent, m, kept, (void *)(uintptr_t)feature);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int api_absent_add(struct api *api)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		const struct absent *f = &features[i];
		int r = add(api, HTTP_GET, f->get, f->feature);
		if (r == 0)
			r = add(api, HTTP_POST, f->post, f->feature);
		if (r == 0)
			r = add(api, HTTP_PUT, f->put, f->feature);
		if (r == 0)
			r = add(api, HTTP_PATCH, f->patch, f->feature);
		if (r == 0)
			r = add(api, HTTP_DELETE, f->delete, f->feature);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}
