/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 2: HTTP/1.1 and TLS, servers and clients, and the checks at the doors. The pure half
 * (http.h, multipart.h, url.h, router.h, sse.h) is the library aegis_http and needs only base; the
 * half that waits (tls.h, server.h, client.h, door.h) is aegis_net.
 */
#pragma once

#include "daemon/net/http.h"
#include "daemon/net/multipart.h"
#include "daemon/net/url.h"
#include "daemon/net/router.h"
#include "daemon/net/sse.h"
#include "daemon/net/tls.h"
#include "daemon/net/server.h"
#include "daemon/net/client.h"
#include "daemon/net/door.h"
