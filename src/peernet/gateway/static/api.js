// The gateway's API as the page uses it: models, an answer as it streams, and receipts. Errors become sentences.

// What to do, where the API's own sentence does not say it.
const ADVICE = {
  content_filter: "Nothing of it left your machine: ask it in other words, or ask something else.",
  unsupported_language: "Nothing of it left your machine.",
  model_not_found: "Choose another model.",
  detection_failed: "Nothing of it left your machine: ask again.",
  screening_failed: "Nothing of it left your machine: ask again.",
  network: "Ask again in a moment; 'peernet doctor' says what your machine reaches.",
  context_length_exceeded: "Write less, or begin a new conversation.",
  hosts_failed: "Ask again: another host may be there.",
  invalid_api_key: "Type in the gateway's key.",
};
const UNREACHABLE = "The gateway does not answer. See whether 'peernet gateway' still runs, then try again.";
const BROKEN_OFF = "The answer broke off: the connection to the gateway ended. See whether it still runs, then ask again.";

let key = "";

export function useKey(text) {
  key = text;
}

// Something that the user is told: `message` is whole sentences, `code` is the API's word for it.
export class Refused extends Error {
  constructor(message, code = "") {
    super(message);
    this.code = code;
  }
}

function sentence(text) {
  const words = text.trim();
  const begun = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

// The API's error object in words.
export function refusedBy(error, retryAfter = null) {
  const code = typeof error?.code === "string" ? error.code : "";
  const said = sentence(typeof error?.message === "string" ? error.message : "the gateway refused, and did not say why");
  if (code === "rate_limit_exceeded") {
    return new Refused(`The gateway answers as many questions at a time as it may. Ask again in ${retryAfter ?? "a few"} seconds.`, code);
  }
  return new Refused([said, ADVICE[code] ?? ""].filter(Boolean).join(" "), code);
}

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(UNREACHABLE, "unreachable");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw refusedBy(body.error, response.headers.get("retry-after"));
}

export async function modelNames() {
  return (await (await call("/v1/models")).json()).data.map((model) => model.id);
}

export async function receiptOf(identity) {
  return (await call(`/v1/exposure/${encodeURIComponent(identity)}`)).json();
}

// Asks, and tells `seen` what comes: `begun(id)`, `receipt(receipt)`, `text(piece)`. Returns why the answer ended. Aborting
// `signal` closes the connection, and that ends the rings and the hosts' work.
export async function ask(model, messages, signal, seen) {
  const body = { model, messages, stream: true, stream_options: { include_exposure: true } };
  const response = await call("/v1/chat/completions", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
  });
  seen.begun(response.headers.get("x-peernet-exposure"));
  let reason = null;
  for await (const { name, data } of events(response.body)) {
    if (data === "[DONE]") return reason;
    const said = JSON.parse(data);
    if (said.error) throw refusedBy(said.error);
    if (name === "peernet.exposure") {
      seen.receipt(said);
      continue;
    }
    const [choice] = said.choices;
    if (choice?.delta.content) seen.text(choice.delta.content);
    reason = choice?.finish_reason ?? reason;
  }
  throw new Refused(BROKEN_OFF, "broken_off");
}

// Server-sent events, each of one line of data, as this gateway sends them.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held += value;
      for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
        yield eventOf(held.slice(0, end));
        held = held.slice(end + 2);
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(BROKEN_OFF, "broken_off");
  } finally {
    reader.cancel().catch(() => {});
  }
}

function eventOf(text) {
  const event = { name: "", data: "" };
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) event.name = line.slice(7);
    else if (line.startsWith("data: ")) event.data = line.slice(6);
  }
  return event;
}
