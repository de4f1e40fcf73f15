// Verifies a C2SP tlog-proof in the page: the leaf's hash, the path up to the root, and the signatures of the checkpoint.
//
// SHA-256 and Ed25519 are the browser's own (WebCrypto). It takes the proof from the page, or from what a person pasted, and
// the keys from the page; it asks nobody. Sources: C2SP tlog-proof, tlog-checkpoint, tlog-cosignature, signed-note; RFC 6962.
"use strict";

const HEADER = "c2sp.org/tlog-proof@v1";
const LOG_KEY = 1, COSIGNER_KEY = 4, MAX_PATH = 63;
const encoder = new TextEncoder();

class Wrong extends Error {}

function bytesOf(base64) {
  let text;
  try { text = atob(base64); } catch { throw new Wrong("a line is not base64"); }
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (a, b) => hex(a) === hex(b);
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const leafHash = (entry) => sha256(joined(Uint8Array.of(0), entry));
const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));

function decimal(text) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text)) throw new Wrong("a number is not written as plain digits");
  return BigInt(text);
}

function parseNote(note) {
  const parting = note.lastIndexOf("\n\n");
  if (parting < 0) throw new Wrong("the checkpoint has no signatures");
  const text = note.slice(0, parting + 1);
  const signatures = note.slice(parting + 2).split("\n").filter(Boolean).map((line) => {
    const words = /^\u2014 (\S+) (\S+)$/.exec(line);
    if (!words) throw new Wrong("a signature line is not one");
    const material = bytesOf(words[2]);
    return { name: words[1], id: hex(material.slice(0, 4)), signature: material.slice(4) };
  });
  const [origin, size, root] = text.split("\n");
  return { text, signatures, origin, size: decimal(size), root: bytesOf(root) };
}

function parseProof(text) {
  const parting = text.indexOf("\n\n");
  const lines = text.slice(0, parting).split("\n");
  if (parting < 0 || lines.shift() !== HEADER) throw new Wrong("it does not begin with " + HEADER);
  if (!lines[0]?.startsWith("extra ")) throw new Wrong("it does not carry its entry");
  const entry = bytesOf(lines.shift().slice(6));
  if (!lines[0]?.startsWith("index ")) throw new Wrong("it has no index");
  const index = decimal(lines.shift().slice(6));
  if (lines.length > MAX_PATH) throw new Wrong("its path is too long");
  const path = lines.map(bytesOf);
  if (path.some((hash) => hash.length !== 32)) throw new Wrong("a hash has not 32 bytes");
  return { entry, index, path, note: parseNote(text.slice(parting + 2)) };
}

// RFC 9162, section 2.1.3.2.
async function rootOf(leaf, index, size, path) {
  if (index >= size) throw new Wrong("the index is beyond the checkpoint's size");
  let fn = index, sn = size - 1n, hash = leaf;
  for (const sibling of path) {
    if (sn === 0n) throw new Wrong("its path is too long");
    if ((fn & 1n) === 1n || fn === sn) {
      hash = await nodeHash(sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) { fn >>= 1n; sn >>= 1n; }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) throw new Wrong("its path is too short");
  return hash;
}

function parseKey(vkey, role) {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey);
  const material = bytesOf(encoded);
  return { name, id, role, algorithm: material[0], key: material.slice(1) };
}

function knownKeys() {
  const keys = Array.from(document.querySelectorAll("#ledger-keys li"), ({ dataset }) => [dataset.vkey, dataset.role]);
  return Array.from(new Map(keys), ([vkey, role]) => parseKey(vkey, role));
}

// True or false; null where the browser has no Ed25519.
async function signedBy(key, note) {
  const line = note.signatures.find((each) => each.name === key.name && each.id === key.id);
  if (!line) return undefined;
  let message = encoder.encode(note.text), signature = line.signature;
  if (key.algorithm === COSIGNER_KEY) {
    const time = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0);
    message = encoder.encode(`cosignature/v1\ntime ${time}\n${note.text}`);
    signature = signature.slice(8);
  } else if (key.algorithm !== LOG_KEY) {
    return false;
  }
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key.key, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
}

function listed(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}

// What the cosigners of one role come to, in a line.
function cosigned(role, results, says) {
  const by = (wanted) => results.filter((each) => each.key.role === role && each.result === wanted).map((each) => each.key.name);
  const checks = by(false).map((name) => [false, `The signature of ${name} is wrong`]);
  const held = by(true), open = by(null);
  if (held.length) checks.push([true, `${listed(held)} ${held.length > 1 ? says[1] : says[0]}`]);
  if (open.length) checks.push([null, `${listed(open)} signed, which was not checked: your browser has no Ed25519`]);
  return checks;
}

async function verify(text) {
  const checks = [];
  const proof = parseProof(text);
  const leaf = await leafHash(proof.entry);
  checks.push([true, `The entry hashes to ${hex(leaf).slice(0, 16)}…`]);
  const root = await rootOf(leaf, proof.index, proof.note.size, proof.path);
  const leads = same(root, proof.note.root);
  checks.push([leads, leads
    ? `${proof.path.length} hashes lead from entry ${proof.index} to the root of ${proof.note.size} entries`
    : "The hashes do not lead to the root that was signed"]);
  const keys = knownKeys().filter((key) => key.role !== "log" || key.name === proof.note.origin);
  const results = (await Promise.all(keys.map(async (key) => ({ key, result: await signedBy(key, proof.note) }))))
    .filter((each) => each.result !== undefined);
  checks.push(...cosigned("log", results, ["signed the checkpoint"]));
  if (!results.some((each) => each.key.role === "log")) checks.push([false, "No log that this node knows signed the checkpoint"]);
  checks.push(...cosigned("witness", results, ["says that it continues what was before", "say that it continues what was before"]));
  checks.push(...cosigned("validator", results, ["replayed every rule up to it", "each replayed every rule up to it"]));
  return checks;
}

async function show(text) {
  const box = document.getElementById("verdict"), title = document.getElementById("verdict-title");
  const list = document.getElementById("verdict-checks");
  box.hidden = false;
  list.replaceChildren();
  let checks;
  if (!globalThis.crypto?.subtle) {
    checks = [[null, "Your browser gives its cryptography to pages over https alone"]];
  } else {
    try {
      checks = await verify(text);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      checks = [[false, `This is no valid proof: ${error.message}`]];
    }
  }
  for (const [result, words] of checks) {
    const item = document.createElement("li");
    item.className = result === null ? "unknown" : result ? "yes" : "no";
    item.textContent = words;
    list.append(item);
  }
  const failed = checks.some(([result]) => result === false), open = checks.some(([result]) => result === null);
  title.textContent = failed ? "This does not hold" : open ? "Verified in part" : "Verified: this entry is in the log";
  box.dataset.result = failed ? "failed" : open ? "partly" : "verified";
}

document.getElementById("unverified").hidden = true;
const shown = document.getElementById("proof");
if (shown) show(shown.textContent);
document.getElementById("verify")?.addEventListener("click", () => {
  show(document.getElementById("pasted").value.replaceAll("\r\n", "\n").trimStart().trimEnd() + "\n");
});
