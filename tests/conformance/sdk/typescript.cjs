// SPDX-License-Identifier: AGPL-3.0-only
// Drives upstream's SEAL client for TypeScript, as built: node typescript.cjs CHECKOUT URL. One JSON line each.
"use strict";
const [checkout, url] = process.argv.slice(2);

function say(name, value) {
  console.log(JSON.stringify({ name, value }));
}

async function failure(action) {
  try {
    await action();
    return "no error";
  } catch (e) {
    return `${e.name}: ${e.message}`;
  }
}

async function main() {
  const { SEALClient } = await import(`${checkout}/dist/seal/index.js`);
  const client = new SEALClient(url, "ci-worker", "read-only-research");
  const attested = await client.attest();
  say("attest", Object.keys(attested).sort());
  say("call", await client.callTool("aegis.system.info", {}));
  // What JavaScript writes in its own way: floats, exponents, keys beyond the BMP beside one in U+E000..U+FFFF.
  const odd = { path: "/workspace/\u00e9\u{1F600}\n", ratio: 1.0, e: 1e21, small: 1e-7, big: 2 ** 53,
                "\ue000k": 1, "\u{1F600}k": [null, true, -0.0] };
  say("odd", await failure(() => client.callTool("fs.read", odd)));
  say("denied", await failure(() => client.callTool("fs.delete", { path: "/workspace/x" })));
  say("path", await failure(() => client.callTool("fs.read", { path: "/etc/passwd" })));
  client.dispose();
  say("unknown", await failure(() => new SEALClient(url, "ci-worker", "no-such-context").attest()));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
