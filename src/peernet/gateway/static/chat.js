// The conversation: questions, answers as they stream, and beside each what the hosts saw. All of it is in this page's memory.
//
// A turn that was stopped, refused or broke off is shown and is not part of the conversation: the next question goes on from
// the last whole answer. So the gateway knows the conversation again, and shows its earlier turns to no further host.

import { Refused, ask, modelNames, receiptOf, useKey } from "/static/api.js";
import { element, showText } from "/static/elements.js";
import { hostsSeen, showNone, showReceipt } from "/static/exposure.js";

const EXAMPLE = "1. Write a short greeting to John Smith (john@example.com).\n2. Why is the sky blue?\n3. Name three kinds of cheese.";
const RECEIPT_TRIES = 20;
const RECEIPT_WAIT_MS = 150;

const onTouch = () => matchMedia("(pointer: coarse)").matches;
const byId = (id) => document.getElementById(id);
const [model, question, send, stop, turns] = ["model", "question", "send", "stop", "turns"].map(byId);

let conversation = [];
let asked = 0;
let running = null;

const say = (words) => { byId("status").textContent = words; };

function refuse(words) {
  byId("refused").textContent = words;
  byId("refused").hidden = !words;
}

// --- models and the key ---

async function lookForModels() {
  refuse("");
  let names;
  try {
    names = await modelNames();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.code === "invalid_api_key") return askForKey();
    refuse(error.message);
    byId("refused").append(" ", lookAgain());
    return false;
  }
  byId("key").hidden = true;
  model.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  if (!names.length) {
    model.append(element("option", { value: "" }, "none is offered"));
    refuse("No model is offered now that is installed here, too. Wait for a host, or install one with 'peernet model pull'.");
    byId("refused").append(" ", lookAgain());
  }
  model.disabled = !names.length || conversation.length > 0;
  return names.length > 0;
}

function lookAgain() {
  const button = element("button", { type: "button", class: "quiet" }, "Look again");
  button.addEventListener("click", lookForModels);
  return button;
}

function askForKey() {
  byId("key").hidden = false;
  byId("key-field").focus();
  return false;
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  useKey(byId("key-field").value.trim());
  byId("key-wrong").hidden = true;
  const known = await lookForModels();
  byId("key-field").value = "";
  byId("key-wrong").hidden = byId("key").hidden;
  if (known) question.focus();
});

// --- one turn ---

function newTurn(text) {
  asked += 1;
  const turn = {
    answer: element("div", { class: "text", "aria-busy": "true" }),
    note: element("p", { class: "note", hidden: "" }),
    refusal: element("p", { class: "refusal", hidden: "" }),
    panel: element("section", { class: "panel", "aria-label": `What each host saw of question ${asked}` }),
    said: "", receipt: null, identity: null, controller: new AbortController(), ended: false,
  };
  const title = `question-${asked}`;
  turn.place = element("article", { class: "turn", "aria-labelledby": title },
    element("div", { class: "talk" },
      element("h2", { id: title, class: "speaker" }, `Question ${asked}`),
      element("div", { class: "question" }, text),
      element("h3", { class: "speaker" }, "Answer"),
      turn.answer, turn.refusal, turn.note),
    turn.panel);
  showNone(turn.panel, "Looking for names and numbers on this machine, and for hosts. Nothing has been sent.");
  turns.append(turn.place);
  return turn;
}

// Draws at the browser's own pace, and keeps the answer's end in sight for who was looking at it.
function draw(turn) {
  if (turn.drawing) return;
  turn.drawing = true;
  requestAnimationFrame(() => {
    turn.drawing = false;
    const inSight = turn.answer.getBoundingClientRect().bottom <= innerHeight;
    showText(turn.answer, turn.said);
    if (turn.receipt && turn.receipt !== turn.drawn) showReceipt(turn.panel, turn.receipt);
    turn.drawn = turn.receipt;
    if (inSight && !turn.ended) turn.answer.lastElementChild?.scrollIntoView({ block: "nearest" });
  });
}

async function askQuestion(text) {
  const turn = newTurn(text);
  running = turn;
  refuse("");
  showBusy(true);
  say("Your question is on its way.");
  turn.place.scrollIntoView({ block: "start" });
  const messages = [...conversation, { role: "user", content: text }];
  try {
    const reason = await ask(model.value, messages, turn.controller.signal, {
      begun: (identity) => { turn.identity = identity; },
      receipt: (receipt) => { turn.receipt = receipt; draw(turn); },
      text: (piece) => {
        if (!turn.said) say("The answer begins.");
        turn.said += piece;
        draw(turn);
      },
    });
    if (running === turn) conversation = [...messages, { role: "assistant", content: turn.said }];
    finish(turn, reason);
  } catch (error) {
    await fail(turn, error, text);
  } finally {
    turn.ended = true;
    turn.answer.removeAttribute("aria-busy");
    draw(turn);
    if (running === turn) {
      running = null;
      showBusy(false);
    }
  }
}

function finish(turn, reason) {
  const hosts = turn.receipt ? hostsSeen(turn.receipt) : 0;
  say(`The answer is complete. ${hosts === 1 ? "One host" : `${hosts} hosts`} saw a part of your question.`);
  if (reason === "length") note(turn, "The answer was cut at its longest allowed length.");
}

async function fail(turn, error, text) {
  const stopped = error.name === "AbortError";
  if (!stopped && !(error instanceof Refused)) {
    turn.refusal.textContent = "This page broke. Load it again; if that happens again, please report it.";
    turn.refusal.hidden = false;
    throw error;
  }
  if (stopped) {
    note(turn, "You stopped this answer. It is not part of the conversation.");
    say("Stopped.");
  } else {
    turn.refusal.textContent = error.message;
    turn.refusal.hidden = false;
    turn.refusal.scrollIntoView({ block: "nearest" });
    say(error.message);
    if (!turn.said && !question.value) question.value = text;
    if (error.code === "invalid_api_key") askForKey();
  }
  if (turn.identity) await fetchLastReceipt(turn);
  // It may be the gateway itself that has gone.
  if (turn.receipt?.state === "running") turn.receipt = { ...turn.receipt, state: "broken_off" };
  if (!turn.receipt) {
    showNone(turn.panel, turn.identity ? "The gateway did not say who was sent what." : "Nothing was sent: no host saw a word.");
  }
}

function note(turn, words) {
  turn.note.textContent = words;
  turn.note.hidden = false;
}

// What the gateway knows at the end of a request whose stream was not read to its end.
async function fetchLastReceipt(turn) {
  for (let number = 0; number < RECEIPT_TRIES; number += 1) {
    try {
      turn.receipt = await receiptOf(turn.identity);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return;
    }
    if (turn.receipt.state !== "running") return;
    await new Promise((resolve) => { setTimeout(resolve, RECEIPT_WAIT_MS); });
  }
}

// --- the form ---

function showBusy(busy) {
  send.hidden = busy;
  stop.hidden = !busy;
  byId("intro").hidden = asked > 0;
  // Hosts know a conversation by its model: with another one it would be a new one.
  model.disabled = busy || conversation.length > 0 || !model.value;
  if (!busy) focusQuestion();
}

// Not where that would put a keyboard over half of the screen.
function focusQuestion() {
  if (!onTouch()) question.focus({ preventScroll: true });
}

async function submit() {
  const text = question.value.trim();
  if (running) return;
  if (!text) {
    say("Write a question first.");
    question.focus();
    return;
  }
  if (!model.value && !(await lookForModels())) return;
  question.value = "";
  await askQuestion(text);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !onTouch()) {
    event.preventDefault();
    submit();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) running.controller.abort();
});

stop.addEventListener("click", () => running?.controller.abort());

byId("renew").addEventListener("click", () => {
  running?.controller.abort();
  running = null;
  conversation = [];
  asked = 0;
  turns.replaceChildren();
  question.value = "";
  refuse("");
  showBusy(false);
  say("A new conversation.");
});

byId("example").addEventListener("click", () => {
  question.value = EXAMPLE;
  question.focus();
});

lookForModels();
focusQuestion();
