// The page of `facecheck review`. All text reaches it as text: nothing here writes HTML.
"use strict";

const $ = (id) => document.getElementById(id);
const VERDICTS = ["fake", "uncertain", "real", "no_face", "unreadable"];
const JUDGEMENTS = ["generated", "genuine", "unsure"];
const NAMES = { no_face: "no face", open: "not decided" };
const BINS = 40;
const PAGE = 60;
const NEWS_MS = 4000;
const EMPTY = { rule: 0, verdicts: [], decisions: [], reason: "", folder: "", text: "", from_p: null, to_p: null,
  from_px: null, to_px: null, changed: false, copies: false, family: null, folded: true };

const state = { filters: { ...EMPTY }, sort: "chance", offset: 0, rows: [], total: 0, selected: -1, seen: 0,
  left: 0, undo: [], setting: null, posting: Promise.resolve(), asked: 0 };

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

// Never 0 or 1: the model is never sure.
const score = (p) => (p > 0.995 ? "> 0.99" : p < 0.005 ? "< 0.01" : p.toFixed(2));
const number = (value) => value.toLocaleString("en");

function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { $("toast").hidden = true; }, 4500);
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The desk does not answer: is `facecheck review` still running?");
  }
  const values = await answer.json();
  if (!answer.ok) throw new Error(values.error);
  return values;
}

function query(more = {}) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...state.filters, ...more })) {
    if (Array.isArray(value)) value.forEach((one) => words.append(name, one));
    else if (typeof value === "boolean") words.set(name, value ? "1" : "0");
    else if (value !== null && value !== "") words.set(name, value);
  }
  return words;
}

// ---- what is shown

async function show({ keep = false } = {}) {
  if (!keep) { state.offset = 0; }
  const asked = ++state.asked;
  const words = query();
  try {
    const rows = await ask(`api/rows?${query({ sort: state.sort, offset: state.offset, limit: PAGE })}`);
    if (asked !== state.asked) return;
    Object.assign(state, { rows: rows.rows, total: rows.total, left: 0 });
    if (!state.rows.length && state.offset > 0) {
      state.offset = Math.max(0, Math.floor((state.total - 1) / PAGE) * PAGE);
      await show({ keep: true });
      return;
    }
    drawGrid();
    const counts = await ask(`api/counts?${words}`);
    if (asked === state.asked) drawCounts(counts);
    history.replaceState(null, "", `#${query({ sort: state.sort, offset: state.offset })}`);
  } catch (error) { toast(error.message); }
}

function drawGrid() {
  const folded = state.filters.folded;
  $("total").textContent = `${number(state.total)} ${folded ? "row" : "file"}${state.total === 1 ? "" : "s"}`;
  const pages = Math.max(1, Math.ceil(state.total / PAGE));
  $("pages").textContent = number(pages);
  $("page").max = pages;
  $("page").value = Math.floor(state.offset / PAGE) + 1;
  $("previous").disabled = state.offset === 0;
  $("next").disabled = state.offset + PAGE >= state.total;
  $("grid").replaceChildren(...state.rows.map(card));
  $("grid").scrollTop = 0;
  if (!state.rows.length) $("grid").append(element("p", { class: "empty" }, "Nothing here fits the filters."));
  select(state.rows.length ? 0 : -1, { quietly: true });
}

function card(row, index) {
  const verdict = row.verdict || "unreadable";
  const made = element("div", { class: "card", role: "option", id: `file-${row.id}`, "aria-selected": "false",
    title: row.shown, onclick: () => select(index, { open: true }) });
  const picture = element("img", { src: `thumbnail/${row.id}`, alt: "", loading: "lazy" });
  picture.addEventListener("error", () => picture.replaceWith(element("div", { class: "gone" },
    row.verdict ? "cannot be shown" : "could not be read")));
  made.append(picture);
  const line = element("div", { class: "line" }, element("span", { class: `dot ${verdict}` }), NAMES[verdict] || verdict);
  if (row.p_fake !== null) line.append(element("b", {}, score(row.p_fake)));
  made.append(line, element("div", { class: "file" }, row.shown.split("/").pop()));
  if (row.copies > 1 && state.filters.folded) made.append(element("span", { class: "copies", title: "near-duplicates" }, `× ${number(row.copies)}`));
  mark(made, row);
  return made;
}

function mark(made, row) {
  made.querySelector(".mark")?.remove();
  made.classList.toggle("decided", row.decision !== null);
  if (row.decision) made.append(element("span", { class: `mark ${row.decision}` }, row.decision));
}

function choices(place, words, counts, name) {
  $(place).replaceChildren(...words.map((word) => {
    const box = element("input", { type: "checkbox", value: word });
    box.checked = state.filters[name].includes(word);
    box.addEventListener("change", () => {
      state.filters[name] = words.filter((one) => (one === word ? box.checked : state.filters[name].includes(one)));
      show();
    });
    return element("label", { class: "check" }, box, element("span", { class: `dot ${word}` }),
      element("span", {}, NAMES[word] || word), element("em", {}, number(counts[word] || 0)));
  }));
}

function drawCounts(counts) {
  choices("verdicts", VERDICTS, counts.verdicts, "verdicts");
  choices("decisions", [...JUDGEMENTS, "open"], counts.decisions, "decisions");
  $("progress").textContent = `${number(counts.decided)} of ${number(counts.files)} files decided`;
  $("bar").style.width = `${(100 * counts.decided) / Math.max(counts.files, 1)}%`;
  const reasons = Object.entries(counts.reasons).filter(([word, count]) => count || word === state.filters.reason);
  $("reasons-section").hidden = !reasons.length;
  $("reason").replaceChildren(element("option", { value: "" }, "any reason"),
    ...reasons.map(([word, count]) => element("option", { value: word }, `${word.replaceAll("_", " ")} (${number(count)})`)));
  $("reason").value = state.filters.reason;
  drawFolders(counts.folders);
  drawHistogram(counts.histogram, counts.verdicts);
  const rule = state.setting.rules[state.filters.rule];
  $("changed-row").hidden = state.filters.rule === 0;
  $("changed-count").textContent = number(counts.changed);
  $("rule-name").textContent = rule.name;
  $("rule-meaning").textContent = rule.meaning;
}

function drawFolders(folders) {
  const here = state.filters.folder;
  $("crumbs").replaceChildren();
  if (here) {
    $("crumbs").append(here.split("/").pop() || here, " ",
      element("button", { class: "link", onclick: () => { state.filters.folder = ""; show(); } }, "all folders"));
  }
  $("folders").replaceChildren(...folders.map(([path, count]) =>
    element("button", { title: path, onclick: () => { state.filters.folder = path; show(); } },
      element("span", {}, path.split("/").pop()), element("em", {}, number(count)))));
  if (!here && !folders.length) $("crumbs").append("all in one folder");
}

function drawHistogram(bars, verdicts) {
  const svg = $("histogram");
  const sums = Array(BINS).fill(0);
  bars.forEach(([bin, , count]) => { sums[bin] += count; });
  const highest = Math.max(1, ...sums);
  const { from_p: low, to_p: high } = state.filters;
  const shown = state.setting.rules[state.filters.rule].threshold !== undefined
    ? state.setting.rules[state.filters.rule] : state.setting.rules[1];
  svg.replaceChildren();
  if (shown) svg.append(drawn("rect", { class: "band", x: 240 * shown.band[0], y: 0, width: 240 * Math.max(0, shown.band[1] - shown.band[0]), height: 96 }));
  for (let bin = 0; bin < BINS; bin++) {
    let top = 96;
    for (const verdict of ["real", "uncertain", "fake"]) {
      const count = bars.filter(([at, word]) => at === bin && word === verdict).reduce((sum, bar) => sum + bar[2], 0);
      if (!count) continue;
      const height = Math.max(1.5, (78 * count) / highest);
      top -= height;
      const out = (low !== null && (bin + 1) / BINS <= low) || (high !== null && bin / BINS >= high);
      const bar = drawn("rect", { class: `${verdict}${out ? " out" : ""}`, x: (240 * bin) / BINS + 0.5, y: top, width: 240 / BINS - 1, height });
      bar.append(drawn("title", {}, `${(bin / BINS).toFixed(3)} to ${((bin + 1) / BINS).toFixed(3)}: ${number(count)} ${verdict}`));
      svg.append(bar);
    }
  }
  if (shown) {
    const at = 240 * shown.threshold;
    svg.append(drawn("line", { class: "threshold", x1: at, x2: at, y1: 0, y2: 96 }));
    const label = `fake from ${shown.threshold.toFixed(2)}`;
    svg.append(drawn("text", { x: at > 150 ? at - 4 : at + 4, y: 10, "text-anchor": at > 150 ? "end" : "start" }, label));
  }
  svg.append(drawn("text", { x: 5, y: 24 }, `${number(verdicts.real || 0)} real`));
  svg.append(drawn("text", { x: 235, y: 24, "text-anchor": "end" }, `${number(verdicts.fake || 0)} fake`));
  svg.setAttribute("aria-label", `Histogram of the scores: ${sums.join(", ")}`);
  $("any-chance").hidden = low === null && high === null;
  $("chosen-chance").textContent = low === null ? "" : `${low.toFixed(2)} – ${high.toFixed(2)}`;
}

// ---- one file

function columns() {
  return getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
}

function select(index, { quietly = false, open = false } = {}) {
  state.selected = index;
  document.querySelectorAll('.card[aria-selected="true"]').forEach((one) => one.setAttribute("aria-selected", "false"));
  const row = state.rows[index];
  if (!row) { $("about").replaceChildren(element("p", { class: "small" }, "No file is chosen.")); return; }
  const chosen = $(`file-${row.id}`);
  chosen.setAttribute("aria-selected", "true");
  $("grid").setAttribute("aria-activedescendant", chosen.id);
  if (!quietly) chosen.scrollIntoView({ block: "nearest" });
  if (open) $("about").classList.add("open");
  drawAbout(row);
}

async function drawAbout(row) {
  let about;
  try { about = await ask(`api/about?id=${row.id}`); } catch (error) { toast(error.message); return; }
  if (state.rows[state.selected] !== row) return;
  const heat = element("div", { class: "heat", id: "heat", hidden: true });
  $("about").replaceChildren(
    element("button", { class: "button close", onclick: () => $("about").classList.remove("open") }, "Back to the list"),
    figure(about),
    element("h3", { class: about.verdict || "unreadable" }, about.headline),
    decideButtons(row),
    ...notices(row, about),
    facts(about),
    element("div", { class: "row" },
      about.faces.length ? element("button", { class: "button", id: "heat-button", onclick: () => heatMap(about) }, "Heat map ", element("kbd", {}, "H")) : null,
      element("a", { class: "button", href: `original/${about.id}` }, "Save the original"),
      element("button", { class: "button", onclick: () => copyPath(about.path) }, "Copy the path")),
    heat,
    ...about.explained.map((text) => element("p", { class: "small" }, text)));
  $("about").scrollTop = 0;
}

function figure(about) {
  const box = element("div", { class: "figure", onclick: () => enlarge(about.id) });
  if (about.error) return element("div", { class: "figure" }, element("p", { class: "gone-large" }, about.error));
  const inner = element("div");
  const picture = element("img", { src: `picture/${about.id}`, alt: "The picture, with its faces framed" });
  picture.addEventListener("error", async () => {
    const answer = await fetch(`picture/${about.id}`);
    const said = answer.ok ? "" : (await answer.json()).error;
    inner.replaceWith(element("p", { class: "gone-large" }, said || "The picture cannot be shown."));
  });
  inner.append(picture);
  if (about.size && about.kind === "picture") {
    const svg = drawn("svg", { viewBox: `0 0 ${about.size[0]} ${about.size[1]}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const face of about.faces) {
      const [x, y, right, bottom] = face.box;
      for (const kind of ["under", face.verdict]) svg.append(drawn("rect", { class: kind, x, y, width: right - x, height: bottom - y, rx: 3 }));
    }
    inner.append(svg);
  }
  box.append(inner);
  return box;
}

function decideButtons(row) {
  return element("div", { class: "decide", role: "group", "aria-label": "Your decision" }, ...JUDGEMENTS.map((word, place) =>
    element("button", { "data-judgement": word, "aria-pressed": String(row.decision === word), onclick: () => decide(word) },
      word, " ", element("kbd", {}, String(place + 1)))));
}

function notices(row, about) {
  const made = [];
  if (about.decision) made.push(element("p", { class: "notice" }, `Marked ${about.decision.judgement} by ${about.decision.by}, ${about.decision.at.replace("T", " ").slice(0, 16)} UTC.`));
  if (row.copies > 1 && state.filters.folded) {
    made.push(element("p", { class: "notice" }, `This row stands for ${number(row.copies)} near-duplicates. A decision holds for all of them. `,
      element("button", { class: "link", onclick: () => { Object.assign(state.filters, { family: row.family, folded: false }); show(); } }, "Show each")));
  }
  if (about.contradiction) made.push(element("p", { class: "notice against" }, about.contradiction));
  return made;
}

function facts(about) {
  const rows = [["Path", about.path]];
  if (about.size) rows.push(["Picture", `${about.size[0]} × ${about.size[1]} pixels, ${number(about.bytes)} bytes`]);
  about.faces.slice(0, 6).forEach((face, place) => {
    rows.push([about.faces.length > 1 ? `Face ${place + 1}` : "Face",
      `${face.verdict}, score ${score(face.p_fake)}, ${face.size_px.toFixed(0)} pixels. ${face.reasons.join(" ")}`]);
    if (face.expected) rows.push(["", face.expected]);
  });
  if (about.faces.length > 6) rows.push(["", `and ${about.faces.length - 6} smaller faces`]);
  about.file_says.forEach((text) => rows.push(["File", text]));
  return element("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function heatMap(about) {
  const place = $("heat");
  if (!place) return;
  if (!place.hidden) { place.hidden = true; return; }
  const picture = element("img", { alt: "Heat map of the face that decides", src: `heat/${about.id}` });
  const said = element("p", { class: "small" }, "The model is being asked; the first time takes a while.");
  picture.addEventListener("load", () => { said.textContent = state.setting.words.heat_map; });
  picture.addEventListener("error", async () => {
    const answer = await fetch(`heat/${about.id}`);
    said.textContent = answer.ok ? "" : (await answer.json()).error;
    picture.remove();
  });
  place.replaceChildren(picture, said);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

async function copyPath(path) {
  try { await navigator.clipboard.writeText(path); toast("The path is in the clipboard."); } catch { toast(path); }
}

function enlarge(id) {
  if ($("large").open) { $("large").close(); return; }
  $("large").querySelector("img").src = `picture/${id}`;
  $("large").showModal();
}

// ---- decisions

function decide(judgement) {
  const row = state.rows[state.selected];
  if (!row) return;
  state.undo.push({ id: row.id, before: row.decision });
  $("undo").disabled = false;
  send(row.id, judgement).then((done) => { if (!done) { state.undo = state.undo.filter((one) => one.id !== row.id); } });
  move(1);
}

function undo() {
  const last = state.undo.pop();
  $("undo").disabled = !state.undo.length;
  if (!last) return;
  send(last.id, last.before).then(() => {
    const index = state.rows.findIndex((row) => row.id === last.id);
    if (index >= 0) select(index);
    toast(last.before ? `Back to ${last.before}` : "Not decided any more");
  });
}

function send(id, judgement) {
  // One after the other: each must know of the one before.
  state.posting = state.posting.then(async () => {
    const alone = !state.filters.folded;
    const body = JSON.stringify({ id, judgement, seen: state.seen, by: $("by").value, alone });
    try {
      take(await ask("api/decide", { method: "POST", headers: { "Content-Type": "application/json" }, body }));
      return true;
    } catch (error) {
      toast(error.message);
      await news().catch(() => {});
      return false;
    }
  });
  return state.posting;
}

function take({ seen, changes }) {
  state.seen = seen;
  let decided = 0;
  for (const { id, judgement } of changes) {
    const index = state.rows.findIndex((row) => row.id === id);
    if (index < 0) continue;
    const row = state.rows[index];
    const fits = state.filters.decisions;
    if (fits.length && fits.includes(row.decision || "open") && !fits.includes(judgement || "open")) state.left += 1;
    row.decision = judgement;
    mark($(`file-${id}`), row);
    if (index === state.selected) drawAbout(row);
    decided += 1;
  }
  if (changes.length) refreshCounts();
  return decided;
}

function refreshCounts() {
  clearTimeout(refreshCounts.timer);
  refreshCounts.timer = setTimeout(async () => {
    const words = query();
    try { const counts = await ask(`api/counts?${words}`); if (String(words) === String(query())) drawCounts(counts); } catch { /* said elsewhere */ }
  }, 250);
}

async function news() {
  const found = await ask(`api/news?seen=${state.seen}`);
  const others = new Set(found.changes.map((one) => one.by));
  if (found.changes.length) {
    take(found);
    toast(`${[...others].join(", ")} decided about ${number(found.changes.length)} file${found.changes.length === 1 ? "" : "s"}.`);
  }
  state.seen = found.seen;
}

// ---- moving

function turn(pages) {
  // What was decided and no longer fits has left the list before this page's end.
  const offset = state.offset + pages * PAGE - (pages > 0 ? state.left : 0);
  if (offset < 0 && state.offset === 0) return;
  if (pages > 0 && state.offset + PAGE >= state.total) return;
  state.offset = Math.max(0, offset);
  show({ keep: true });
}

function move(step) {
  const to = state.selected + step;
  if (to >= 0 && to < state.rows.length) select(to);
  else if (Math.abs(step) === 1) state.posting.then(() => turn(step));
}

const KEYS = {
  1: () => decide("generated"), g: () => decide("generated"), 2: () => decide("genuine"), p: () => decide("genuine"),
  3: () => decide("unsure"), u: () => decide("unsure"), 0: () => decide(null), z: undo,
  ArrowRight: () => move(1), ArrowLeft: () => move(-1), ArrowDown: () => move(columns()), ArrowUp: () => move(-columns()),
  PageDown: () => turn(1), PageUp: () => turn(-1), "/": () => $("text").focus(), "?": () => $("keys").showModal(),
  h: () => $("heat-button")?.click(), d: () => $("folded").click(),
  Enter: () => { const row = state.rows[state.selected]; if (row) enlarge(row.id); },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox], [type=range]), select");
  if (typing && event.key === "Escape") event.target.blur();
  const pressing = event.target.matches("button, a, summary") && event.key === "Enter";
  const sliding = event.target.matches("[type=range]") && event.key.startsWith("Arrow");
  if (typing || pressing || sliding || event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function chooseScores() {
  const svg = $("histogram");
  let start = null;
  const at = (event) => {
    const place = svg.getBoundingClientRect();
    return Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - place.left) / place.width) * BINS)));
  };
  svg.addEventListener("pointerdown", (event) => { start = at(event); svg.setPointerCapture(event.pointerId); });
  svg.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const bins = [start, at(event)].sort((a, b) => a - b);
    start = null;
    Object.assign(state.filters, { from_p: bins[0] / BINS, to_p: (bins[1] + 1) / BINS });
    show();
  });
}

function remembered() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(EMPTY)) {
    if (!words.has(name)) continue;
    if (Array.isArray(value)) state.filters[name] = words.getAll(name);
    else if (typeof value === "boolean") state.filters[name] = words.get(name) === "1";
    else if (value === null || typeof value === "number") state.filters[name] = Number(words.get(name));
    else state.filters[name] = words.get(name);
  }
  state.sort = words.get("sort") || state.sort;
  state.offset = Number(words.get("offset")) || 0;
}

function showControls() {
  const filters = state.filters;
  for (const name of ["changed", "copies", "folded"]) $(name).checked = filters[name];
  for (const name of ["from_px", "to_px"]) $(name).value = filters[name] === null ? "" : filters[name];
  $("text").value = filters.text;
  $("sort").value = state.sort;
  $("rule").value = filters.rule;
}

function listen() {
  const later = (work, ms = 250) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(work, ms); }; };
  for (const name of ["changed", "copies", "folded"]) $(name).addEventListener("change", () => { state.filters[name] = $(name).checked; if (name === "folded") state.filters.family = null; show(); });
  for (const name of ["from_px", "to_px"]) $(name).addEventListener("input", later(() => { state.filters[name] = $(name).value === "" ? null : Number($(name).value); show(); }));
  $("text").addEventListener("input", later(() => { state.filters.text = $("text").value; show(); }));
  $("sort").addEventListener("change", () => { state.sort = $("sort").value; show(); });
  $("reason").addEventListener("change", () => { state.filters.reason = $("reason").value; show(); });
  $("rule").addEventListener("input", later(() => {
    state.filters.rule = Number($("rule").value);
    if (!state.filters.rule) { state.filters.changed = false; $("changed").checked = false; }
    show();
  }, 120));
  $("any-chance").addEventListener("click", () => { Object.assign(state.filters, { from_p: null, to_p: null }); show(); });
  $("reset").addEventListener("click", () => { state.filters = { ...EMPTY }; showControls(); show(); });
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("page").addEventListener("change", () => { state.offset = (Math.min(Math.max(1, Number($("page").value) || 1), Number($("page").max)) - 1) * PAGE; show({ keep: true }); });
  $("undo").addEventListener("click", undo);
  $("help").addEventListener("click", () => $("keys").showModal());
  $("large").addEventListener("click", () => $("large").close());
  $("show-filters").addEventListener("click", () => {
    const open = $("filters").classList.toggle("open");
    $("show-filters").setAttribute("aria-expanded", String(open));
  });
  $("by").addEventListener("change", () => { try { localStorage.setItem("facecheck-by", $("by").value); } catch { /* private window */ } });
  chooseScores();
}

async function begin() {
  try {
    state.setting = await ask("api/setting");
    $("output").textContent = state.setting.name;
    document.title = `${state.setting.name}: facecheck review`;
    $("labels-folder").textContent = `save as ${state.setting.folder}/manifest.csv`;
    $("note").textContent = state.setting.words.note;
    $("rule").max = state.setting.rules.length - 1;
    $("rule").hidden = state.setting.rules.length === 1;
    let by = null;
    try { by = localStorage.getItem("facecheck-by"); } catch { /* private window */ }
    $("by").value = by || state.setting.reviewer;
    state.seen = (await ask("api/news?seen=0")).seen;
    remembered();
    showControls();
    listen();
    await show({ keep: true });
    $("grid").focus({ preventScroll: true });
    setInterval(() => { state.posting = state.posting.then(() => news().catch(() => {})); }, NEWS_MS);
  } catch (error) { toast(error.message); }
}

begin();
