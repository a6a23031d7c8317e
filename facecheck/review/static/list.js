// The desk's state, its list and its filters. All text reaches the page as text: nothing here writes HTML.
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
