// What each host saw, drawn from an exposure receipt: one that still runs, or one of a request that has ended. What the keys
// of a receipt mean is in docs/privacy.md.

import { element } from "/static/elements.js";

const STATES = {
  running: ["under way", "warm"],
  answered: ["complete", "good"],
  incomplete: ["parts are missing", "bad"],
  broken_off: ["broken off", "warm"],
};
const STEPS = {
  planned: "waits for its lane",
  lane_funded: "paid ahead, building its ring",
  ring_built: "its ring stands",
  sent: "sent, no word yet",
  answering: "answering",
  answered: "answered",
  failed: "failed",
};
const KINDS = {
  PERSON: ["name", "names"], LOCATION: ["place", "places"], ADDRESS: ["address", "addresses"],
  ORGANIZATION: ["organization", "organizations"], DATE_TIME: ["date", "dates"], ID: ["number of a record", "numbers of records"],
  NATIONAL_ID: ["national number", "national numbers"], EMAIL: ["e-mail address", "e-mail addresses"],
  PHONE: ["phone number", "phone numbers"], CREDIT_CARD: ["card number", "card numbers"], IBAN: ["IBAN", "IBANs"],
  IP_ADDRESS: ["IP address", "IP addresses"], MAC_ADDRESS: ["MAC address", "MAC addresses"],
  URL: ["web address", "web addresses"], CRYPTO_ADDRESS: ["wallet address", "wallet addresses"],
  SECRET: ["secret", "secrets"], COORDINATES: ["position", "positions"], VEHICLE_PLATE: ["number plate", "number plates"],
};

const percent = (share) => `${Math.round(share * 100)}%`;
const number = (value) => value.toLocaleString("en");
const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const totalOf = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
const short = (peer) => `…${peer.slice(-6)}`;

export const hostsSeen = (receipt) => viewOf(receipt).filter((host) => host.share !== null).length;

function kinds(counts) {
  const said = Object.entries(counts).map(([label, count]) => counted(count, ...(KINDS[label] ?? [label, label])));
  return said.join(", ") || "none";
}

// Both forms of a receipt as a list of hosts, those that saw most first. `share` is null for who has been sent nothing.
function viewOf(receipt) {
  if (receipt.exposure) {
    return receipt.exposure.hosts.map((host) => ({
      ...host,
      share: host.share_of_words,
      parts: receipt.fragments.filter((part) => part.host === host.host && host.fragments.includes(part.ordinal)),
    })).sort((a, b) => b.share - a.share);
  }
  const sent = new Map(receipt.sent.map((each) => [each.host, each]));
  const names = new Set([...sent.keys(), ...receipt.planned.map((part) => part.host)]);
  return Array.from(names, (host) => ({
    host,
    share: sent.get(host)?.share_of_words ?? null,
    standby: sent.get(host)?.standby ?? false,
    parts: receipt.planned.filter((part) => part.host === host),
    fragments: sent.get(host)?.fragments ?? [],
  }));
}

export function showReceipt(place, receipt) {
  const opened = new Set(Array.from(place.querySelectorAll("details[open]"), (each) => each.dataset.name));
  const hosts = viewOf(receipt);
  const [state, tone] = STATES[receipt.state] ?? [receipt.state, "warm"];
  place.replaceChildren(
    element("div", { class: "panel-head" },
      element("h3", {}, "What each host saw"), element("span", { class: `badge ${tone}` }, state)),
    summaryOf(receipt, hosts),
    ...noticesOf(receipt),
    element("ul", { class: "hosts" }, ...hosts.map((host) => hostCard(host, receipt))),
    together(receipt, hosts),
    ways(receipt, hosts),
    facts(receipt),
  );
  for (const each of place.querySelectorAll("details")) each.open = opened.has(each.dataset.name);
}

export function showNone(place, words) {
  place.replaceChildren(element("h3", {}, "What each host saw"), element("p", { class: "soft" }, words));
}

function summaryOf(receipt, hosts) {
  const seen = hosts.filter((host) => host.share !== null);
  const summary = element("p", { class: "summary" });
  if (!seen.length) {
    const parts = receipt.planned.length;
    summary.append(receipt.state === "running"
      ? `${counted(parts, "part", "parts")} for ${counted(hosts.length, "host", "hosts")}. Nothing has been sent yet.`
      : "Nothing had been sent: no host saw a word.");
    return summary;
  }
  const largest = seen.reduce((most, host) => (host.share > most.share ? host : most));
  const whole = receipt.mode === "whole" || receipt.exposure?.mode === "whole";
  summary.append(
    element("strong", {}, whole
      ? "One host got all that was sent of your question"
      : `No host saw more than ${percent(largest.share)} of your words`),
    whole ? `: ${percent(largest.share)} of its words.` : `. ${counted(seen.length, "host", "hosts")} saw a part.`,
  );
  return summary;
}

function noticesOf(receipt) {
  const notices = receipt.exposure?.notices ?? receipt.notices ?? [];
  return notices.map((notice) => element("p", { class: "warning" }, notice));
}

function hostCard(host, receipt) {
  const saw = host.share !== null;
  const card = element("li", { class: "host" },
    element("div", { class: "host-head" },
      element("span", {}, "Host ", element("code", { title: host.host }, short(host.host))),
      element("span", { class: "share" }, saw ? percent(host.share) : "0%", element("span", { class: "unseen" }, " of your words"))),
    bar(host.share ?? 0),
  );
  const lines = element("dl", {});
  const line = (term, words) => lines.append(element("dt", {}, term), element("dd", {}, words));
  const parts = host.fragments.length ? host.fragments : host.parts.map((part) => part.ordinal);
  const named = `${parts.length > 1 ? "Parts" : "Part"} ${parts.map((ordinal) => ordinal + 1).join(", ")}`;
  const where = receipt.exposure && `; claims to be in ${host.region_claimed || "no region"}`;
  card.append(element("p", { class: "soft small" }, named, where || ""));
  if (receipt.exposure) endedLines(host, line);
  else {
    const when = receipt.state === "running" ? "Now" : "At the end";
    for (const part of host.parts) line(host.parts.length > 1 ? `Part ${part.ordinal + 1}` : when, STEPS[part.state] ?? part.state);
  }
  if (host.standby) line("Why it", "it came in for another host");
  card.append(lines);
  return card;
}

function endedLines(host, line) {
  line("Sentences", percent(host.share_of_sentences));
  line("Masked", kinds(host.identifiers_masked));
  line("In clear", kinds(host.identifiers_in_clear));
  if (host.retries) line("Sent again", `${counted(host.retries, "time", "times")}`);
  if (host.continued.length) line("Also got", "what another host had answered so far");
  for (const part of host.parts) {
    line("Paid", `${counted(part.microcredits, "microcredit", "microcredits")} for ${number(part.prompt_tokens)} + ${number(part.completion_tokens)} tokens`);
    if (part.failure) line("Failed", part.failure);
  }
}

function bar(share) {
  const filled = element("span", {});
  filled.style.width = percent(share);
  return element("div", { class: "bar", "aria-hidden": "true" }, filled);
}

function together(receipt, hosts) {
  if (!receipt.exposure) {
    const found = receipt.identifiers_found ?? {};
    return element("p", { class: "soft small" }, `Found in your question and masked on your machine: ${kinds(found)}.`);
  }
  const { totals } = receipt.exposure;
  const clear = totalOf(totals.identifiers_in_clear ?? {});
  const said = [
    hosts.length > 1 ? `Together they saw ${percent(totals.share_of_words ?? 0)} of your words.` : "",
    `Found in your question: ${kinds(totals.identifiers_found ?? {})}.`,
    clear ? `In clear reached some host: ${kinds(totals.identifiers_in_clear)}.` : "None of them reached a host in clear.",
  ];
  if (!totalOf(totals.identifiers_found ?? {}) && !clear) said.splice(1, 2, "No identifier was found in your question.");
  return element("p", { class: "small" }, said.filter(Boolean).join(" "));
}

// Which relays carried which part: out, and back.
function ways(receipt, hosts) {
  const parts = (receipt.fragments ?? receipt.planned).filter((part) => part.out.length);
  if (!parts.length || !hosts.length) return null;
  const rows = parts.map((part) => element("li", {},
    element("strong", {}, `Part ${part.ordinal + 1}`), " you ", ...hopsOf(part.out), "→ ", peer(part.host, true), ...hopsOf(part.back.toReversed()), "→ you"));
  return folded("ways", "The way that each part took",
    element("ul", { class: "ways" }, ...rows),
    element("p", { class: "soft small" }, "The first and the last relay know your address and no text; no relay has a word of it."));
}

const hopsOf = (peers) => peers.flatMap((each) => ["→ ", peer(each), " "]);

function peer(identity, isHost = false) {
  return element("span", { class: isHost ? "goal" : "hop" },
    element("code", { title: identity }, short(identity)), isHost ? " host " : "");
}

function facts(receipt) {
  const told = receipt.exposure ?? receipt;
  const lines = element("dl", {});
  const line = (term, words) => lines.append(element("dt", {}, term), element("dd", {}, words));
  line("Exposure policy", told.policy);
  line("Profile of the rings", told.profile === told.profile_asked || !told.profile_asked ? told.profile : `${told.profile}, though ${told.profile_asked} was asked for`);
  line("Model", receipt.model);
  if (receipt.exposure) {
    const { hosts, relays } = receipt.exposure.regions_claimed;
    const paid = receipt.fragments.reduce((sum, part) => sum + part.microcredits, 0);
    const proven = receipt.fragments.filter((part) => part.receipt_index !== null).map((part) => part.receipt_index);
    line("Paid in all", counted(paid, "microcredit", "microcredits"));
    line("Guards", receipt.exposure.guards.map(short).join(", ") || "none");
    line("Regions claimed", `hosts: ${hosts.join(", ") || "none"}; relays: ${relays.join(", ") || "none"}`);
    line("In the ledger", proven.length ? `entries ${proven.join(", ")} of ${receipt.ledger.origin}` : "no receipt yet");
  }
  line("Receipt", element("code", {}, receipt.id));
  return folded("facts", "Policy, payment, receipt", lines,
    element("p", { class: "soft small" }, "Words are those that carry meaning; one that was masked counts as not seen. Where a host or relay is, is its own claim."));
}

function folded(name, title, ...children) {
  return element("details", { "data-name": name }, element("summary", {}, title), ...children);
}
