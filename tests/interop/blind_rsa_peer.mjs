// @cloudflare/blindrsa-ts as a program: one JSON request on standard input, one JSON answer on standard output.
// The folder with its node_modules is the argument. Bytes are base64.

import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const library = createRequire(join(process.argv[2], "x")).resolve("@cloudflare/blindrsa-ts");
const { RSABSSA } = await import(pathToFileURL(library));
const suite = RSABSSA.SHA384.PSS.Randomized();
const bytes = (given) => Uint8Array.from(Buffer.from(given, "base64"));
const shown = (given) => Buffer.from(given).toString("base64");

const asked = JSON.parse(await text(process.stdin));
const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
const privateKey = await crypto.subtle.importKey("jwk", asked.key, algorithm, true, ["sign"]);
const { n, e, kty } = asked.key;
const publicKey = await crypto.subtle.importKey("jwk", { n, e, kty }, algorithm, true, ["verify"]);

const answers = {
  async blind() {
    const prepared = suite.prepare(bytes(asked.message));
    const { blindedMsg, inv } = await suite.blind(publicKey, prepared);
    return { prepared: shown(prepared), blinded: shown(blindedMsg), inverse: shown(inv) };
  },
  async sign() {
    return { signature: shown(await suite.blindSign(privateKey, bytes(asked.blinded))) };
  },
  async finalize() {
    const parts = ["prepared", "signature", "inverse"].map((name) => bytes(asked[name]));
    return { signature: shown(await suite.finalize(publicKey, ...parts)) };
  },
  async verify() {
    return { holds: await suite.verify(publicKey, bytes(asked.signature), bytes(asked.prepared)) };
  },
};
console.log(JSON.stringify(await answers[asked.step]()));
