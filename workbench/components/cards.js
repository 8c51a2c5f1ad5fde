// Groups and rows of image cards. All text is set as text, never as HTML, because class names may
// contain anything.
const SIGN = { hit: "✓", miss: "✗", none: "" };
const SPOKEN_MARK = { hit: "correct", miss: "wrong", none: "" };

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text;
  return node;
}

// A name that may break after punctuation, as names of files and products have to.
function makeLabel(text) {
  const node = element("span", "label");
  const parts = String(text).split(/(?<=[_/\\.,;:|+-])/);
  node.append(...parts.flatMap((part, i) => (i ? [element("wbr"), part] : [part])));
  return node;
}

function makeImage(card) {
  const frame = element("span", "frame");
  const image = element("img");
  image.loading = "lazy";
  image.decoding = "async";
  image.alt = card.alt ?? card.label ?? "";
  image.src = card.src;
  frame.append(image);
  if (card.badge) frame.append(element("span", "badge", "✎"));
  if (isWebAddress(card.remote)) frame.append(makeRemote(card, frame));
  return frame;
}

// Only addresses of web pages become links; the server has checked them too.
const isWebAddress = (text) => /^https?:\/\/[^\s]+$/i.test(text ?? "");

// What a click or Enter does instead of picking the card around it.
function actsAlone(node, act) {
  node.setAttribute("tabindex", "0");
  const run = (event) => {
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  node.onclick = run;
  node.onkeydown = (event) => event.key === "Enter" && run(event);
  return node;
}

// A picture elsewhere on the web is loaded by the browser, and only when somebody asks for it.
function makeRemote(card, frame) {
  const host = new URL(card.remote).hostname;
  const offer = element("span", "remote", `Load from ${host}`);
  offer.setAttribute("role", "button");
  return actsAlone(offer, () => {
    const image = frame.querySelector("img");
    image.referrerPolicy = "no-referrer";
    image.src = card.remote;
    offer.remove();
  });
}

// A date or a price is not broken in the middle; the narrowest card has room for it.
const WHOLE = 11; // characters
const isWhole = (text) => text.length <= WHOLE && !/\s/.test(text);

// A column of the item: its name and its value, which may be a link.
function makeFact(fact, fixed) {
  const node = element("span", "fact");
  node.append(element("span", "name", fact.name), " ");
  if (!isWebAddress(fact.url)) {
    node.append(element("span", isWhole(fact.text) ? "value whole" : "value", fact.text));
    return node;
  }
  const link = element(fixed ? "a" : "span", "value link", `${fact.text} ↗`);
  link.title = fact.url;
  if (fixed) {
    link.href = fact.url;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  } else {
    link.setAttribute("role", "link");
    actsAlone(link, () => window.open(fact.url, "_blank", "noopener,noreferrer"));
  }
  node.append(link);
  return node;
}

function makeCard(card, pick) {
  const fixed = card.pickable === false;
  const node = element(fixed ? "div" : "button", `card ${card.mark ?? "none"}`);
  if (card.kind) node.classList.add(card.kind);
  if (!fixed) {
    node.type = "button";
    node.onclick = () => pick({ row: card.row, run: card.run ?? null, at: Date.now() });
    const parts = [card.rank && `rank ${card.rank}`, card.label, SPOKEN_MARK[card.mark], card.note];
    for (const fact of card.facts ?? []) parts.push(`${fact.name} ${fact.text}`);
    if (card.badge) parts.push(`note: ${card.badge}`);
    node.setAttribute("aria-label", parts.filter(Boolean).join(", "));
  }
  node.dataset.row = card.row;
  const noted = card.badge && `✎ ${card.badge}`;
  node.title = [card.label, card.file, card.note, noted].filter(Boolean).join("\n");
  node.append(makeImage(card));
  const bar = element("span", "bar");
  bar.append(element("span", "rank", card.rank ?? ""));
  bar.append(element("span", "score", card.score ?? ""));
  bar.append(element("span", "sign", SIGN[card.mark] ?? ""));
  if (bar.textContent) node.append(bar);
  if (card.label) node.append(makeLabel(card.label));
  for (const fact of card.facts ?? []) node.append(makeFact(fact, fixed));
  if (card.note) node.append(element("span", "note", card.note));
  for (const line of card.lines ?? []) node.append(element("span", "line", line));
  return node;
}

function makeHeader(row) {
  const head = element("header");
  if (row.color) {
    const dot = element("span", "dot");
    dot.style.background = row.color;
    head.append(dot);
  }
  head.append(element("span", "title", row.title));
  if (row.mark) head.append(element("span", `sign ${row.mark}`, SIGN[row.mark]));
  if (row.detail) head.append(element("span", "detail", row.detail));
  return head;
}

// A card, a gap (null), or a pair of cards that stay together (an array).
function makeCell(card, pick) {
  if (card === null) return element("span", "gap", "⋯");
  if (!Array.isArray(card)) return makeCard(card, pick);
  const pair = element("span", "pair");
  pair.append(...card.map((one) => makeCard(one, pick)));
  return pair;
}

// Fade out a row at each edge beyond which it can be scrolled.
function fadeEnds(strip) {
  const rest = strip.scrollWidth - strip.clientWidth - strip.scrollLeft;
  strip.classList.toggle("before", strip.scrollLeft > 4);
  strip.classList.toggle("after", rest > 4);
}

function makeRow(row, pick) {
  const node = element("section", `row ${row.layout ?? "wrap"}`);
  if (row.title) node.append(makeHeader(row));
  const strip = element("div", "strip");
  strip.style.setProperty("--size", `${row.size ?? 112}px`);
  if (row.columns) strip.style.setProperty("--columns", row.columns);
  strip.append(...row.cards.map((card) => makeCell(card, pick)));
  if (!row.cards.length && row.empty) strip.append(element("p", "empty", row.empty));
  node.append(strip);
  if (row.layout === "line") {
    strip.onscroll = () => fadeEnds(strip);
    new ResizeObserver(() => fadeEnds(strip)).observe(strip);
  }
  return node;
}

function makeGroup(group, pick) {
  const node = element("div", "group");
  const lead = element("div", "lead");
  lead.style.setProperty("--size", `${group.size ?? 120}px`);
  lead.append(makeCard(group.lead, pick));
  const rows = element("div", "rows");
  rows.append(...group.rows.map((row) => makeRow(row, pick)));
  node.append(lead, rows);
  return node;
}

function moveFocus(event, root) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const cards = [...root.querySelectorAll("button.card")];
  const at = cards.indexOf(event.target);
  if (!step || at < 0) return;
  event.preventDefault();
  event.stopPropagation();
  cards[Math.min(cards.length - 1, Math.max(0, at + step))].focus();
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".cards");
  const pick = (choice) => setTriggerValue("picked", choice);
  root.replaceChildren(
    ...(data.groups ?? []).map((group) => makeGroup(group, pick)),
    ...(data.rows ?? []).map((row) => makeRow(row, pick)),
  );
  root.onkeydown = (event) => moveFocus(event, root);
}
