// The chat playground: asks the API with a short-lived key, several models side by side; history stays in this browser.
import { earlier } from "./chats.js";
import { languages } from "./code.js";

const root = document.getElementById("playground");
const at = (id) => document.getElementById(id);
const button = (name) => root.querySelector(`[data-do=${name}]`);
const STORE = root.dataset.store;
const chats = earlier(STORE);
const MOST_MODELS = 4;
// Of two models, three and four.
const SIDE_BY_SIDE = ["lg:grid-cols-2", "lg:grid-cols-3", "lg:grid-cols-4"];
// Who is this close to the end of the page reads along; who has scrolled up is left there.
const NEAR_PX = 100;
const NUMBERS = ["temperature", "top_p", "max_tokens", "seed"];
const fresh = () => ({ system: "", parameters: {}, models: [{ slug: root.dataset.first, messages: [] }] });

let state = load();
let image = null;
let key = null;
let running = [];

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE));
    return kept?.models?.length ? kept : fresh();
  } catch {
    return fresh();
  }
}

function save() {
  try {
    localStorage.setItem(STORE, JSON.stringify(state));
  } catch {
    // Full, because of images: the chat goes on without being kept.
  }
}

const element = (tag, classes, text = "") => {
  const made = document.createElement(tag);
  made.className = classes;
  made.textContent = text;
  return made;
};

function draw() {
  const columns = at("columns");
  const isRead = running.length && isAtEnd();
  columns.replaceChildren(...state.models.map(column));
  columns.classList.remove(...SIDE_BY_SIDE);
  if (state.models.length > 1) columns.classList.add(SIDE_BY_SIDE[state.models.length - 2]);
  if (isRead) toEnd();
}

const page = document.scrollingElement;
const isAtEnd = () => page.scrollHeight - page.scrollTop - page.clientHeight < NEAR_PX;
const toEnd = () => (page.scrollTop = page.scrollHeight);

function column(model) {
  const panel = element("section", "panel flex min-w-0 flex-col");
  panel.setAttribute("aria-label", model.slug);
  const head = element("div", "flex items-center justify-between gap-2 border-b border-base-300 px-4 py-2");
  head.append(element("h2", "truncate font-mono text-xs!", model.slug));
  if (state.models.length > 1) {
    const remove = element("button", "btn btn-ghost btn-xs", "Remove");
    remove.setAttribute("aria-label", `Remove ${model.slug}`);
    remove.addEventListener("click", () => {
      state.models = state.models.filter((other) => other !== model);
      save();
      draw();
    });
    head.append(remove);
  }
  const body = element("div", "grid gap-4 p-4 text-sm");
  if (!model.messages.length) body.append(element("p", "muted", "Nothing said yet."));
  for (const message of model.messages) body.append(bubble(message));
  panel.append(head, body);
  return panel;
}

function bubble(message) {
  const isMine = message.role === "user";
  const found = element("div", isMine ? "rounded-box bg-base-200 p-3" : "min-w-0");
  found.append(element("p", "sr-only", isMine ? "You" : "Answer"));
  const parts = Array.isArray(message.content) ? message.content : [{ type: "text", text: message.content }];
  for (const part of parts) {
    if (part.type === "image_url") {
      const picture = element("img", "mb-2 max-h-40 rounded-field");
      picture.src = part.image_url.url;
      picture.alt = "Attached image";
      found.append(picture);
    } else {
      found.append(element("p", "break-words whitespace-pre-wrap", part.text));
    }
  }
  if (message.error) found.append(element("p", "text-error", message.error));
  if (message.facts) found.append(element("p", "muted figures mt-2 text-xs", message.facts));
  return found;
}

async function token() {
  if (key && Date.now() < key.until) return key.text;
  const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
  const response = await fetch(root.dataset.keyUrl, { method: "POST", headers: { "X-CSRFToken": csrf } });
  if (response.status === 429) throw new Error("Too many chats were begun from here. Come back in an hour.");
  if (!response.ok || response.redirected) throw new Error("No key could be had. Reload the page.");
  const found = await response.json();
  key = { text: found.key, until: Date.now() + found.renew_after_s * 1000 };
  return key.text;
}

const plain = (messages) => messages.filter((one) => !one.error).map(({ role, content }) => ({ role, content }));

function body(model) {
  const messages = state.system ? [{ role: "system", content: state.system }] : [];
  return { model: model.slug, messages: [...messages, ...plain(model.messages)], ...state.parameters };
}

async function answer(model, stop) {
  const asked = { ...body(model), stream: true };
  const message = { role: "assistant", content: "" };
  model.messages.push(message);
  draw();
  const began = performance.now();
  let first = null;
  let usage = null;
  try {
    const response = await fetch(root.dataset.api, {
      method: "POST",
      signal: stop.signal,
      headers: {
        Authorization: `Bearer ${await token()}`,
        "Content-Type": "application/json",
        "X-Title": "Playground",
      },
      body: JSON.stringify(asked),
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const chunk of events(response.body)) {
      if (chunk.error) throw new Error(chunk.error.message);
      usage = chunk.usage ?? usage;
      const text = chunk.choices?.[0]?.delta?.content;
      if (!text) continue;
      first ??= performance.now() - began;
      message.content += text;
      later();
    }
  } catch (error) {
    if (error.name === "AbortError") message.facts = "Stopped.";
    else message.error = error.message;
  }
  message.facts ??= facts(usage, first, performance.now() - began);
  save();
  draw();
}

const facts = (usage, first, whole) =>
  [
    usage && `${usage.prompt_tokens} → ${usage.completion_tokens} tokens`,
    usage && `$${usage.cost.toFixed(9).replace(/0+$/, "").padEnd(4, "0")}`,
    first && `first after ${Math.round(first)} ms`,
    `${(whole / 1000).toFixed(1)} s`,
  ]
    .filter(Boolean)
    .join(" · ");

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

let isDue = false;
function later() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

async function send(event) {
  event?.preventDefault();
  const text = at("prompt").value.trim();
  if (!text || running.length) return;
  const content = image ? [{ type: "text", text }, { type: "image_url", image_url: { url: image } }] : text;
  at("prompt").value = "";
  at("said").textContent = "";
  attach(null);
  for (const model of state.models) model.messages.push({ role: "user", content });
  running = state.models.map(() => new AbortController());
  busy(true);
  const answers = state.models.map((model, number) => answer(model, running[number]));
  toEnd();
  await Promise.all(answers);
  running = [];
  busy(false);
  at("said").textContent = "The answer is complete.";
  if (!at("as-code").hidden) code();
}

function busy(is) {
  at("send").disabled = is;
  button("stop").hidden = !is;
  button("add").disabled = button("clear").disabled = is;
}

function attach(url, name = "") {
  image = url;
  at("attached").textContent = name;
  at("image").value = "";
}

function code() {
  const base = new URL(root.dataset.api, location.href).href.replace("/chat/completions", "");
  at("code-text").textContent = languages[at("language").value](base, body(state.models[0]));
}

// The chat that is open goes to the others, unless nothing was said in it.
function put() {
  if (state.models.some((model) => model.messages.length)) chats.keep(structuredClone(state));
}

function open(chat) {
  state = chat;
  at("system").value = state.system;
  for (const name of NUMBERS) at(name).value = state.parameters[name] ?? "";
  save();
  draw();
  list();
}

function list() {
  const titles = chats.titles();
  at("earlier").hidden = !titles.length;
  const entries = titles.map((title, number) => {
    const entry = element("button", "menu-item", title);
    entry.type = "button";
    entry.addEventListener("click", () => {
      if (running.length) return;
      const chosen = chats.take(number);
      put();
      open(chosen);
      at("earlier").open = false;
    });
    return entry;
  });
  at("chats").replaceChildren(...entries);
}

const doing = {
  add() {
    const slug = at("add-model").value.trim();
    if (!slug || state.models.length >= MOST_MODELS || state.models.some((model) => model.slug === slug)) return;
    state.models.push({ slug, messages: [] });
    at("add-model").value = "";
    save();
    draw();
  },
  clear() {
    put();
    open({ ...state, models: state.models.map(({ slug }) => ({ slug, messages: [] })) });
    at("prompt").focus();
  },
  forget() {
    chats.forget();
    list();
  },
  stop() {
    for (const one of running) one.abort();
  },
  code() {
    at("as-code").hidden = !at("as-code").hidden;
    code();
    at("as-code").scrollIntoView({ block: "nearest" });
  },
};

root.addEventListener("click", (event) => {
  const name = event.target.closest("[data-do]")?.dataset.do;
  if (name) doing[name]();
});
at("ask").addEventListener("submit", send);
at("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
at("add-model").addEventListener("keydown", (event) => {
  if (event.key === "Enter") doing.add();
});
at("image").addEventListener("change", () => {
  const file = at("image").files[0];
  if (!file) return;
  const reader = new FileReader();
  reader.addEventListener("load", () => attach(reader.result, file.name));
  reader.readAsDataURL(file);
});
at("language").addEventListener("change", code);
at("system").addEventListener("input", () => {
  state.system = at("system").value;
  save();
});
for (const name of NUMBERS) {
  at(name).addEventListener("input", () => {
    if (at(name).value === "") delete state.parameters[name];
    else state.parameters[name] = Number(at(name).value);
    save();
  });
}
// Who comes from a model's page talks to that model; what was said to others stays among the earlier chats.
const asked = new URLSearchParams(location.search).get("model");
if (asked === root.dataset.first && !state.models.some((model) => model.slug === asked)) {
  put();
  state = fresh();
}
open(state);
