// Deciding, moving and beginning. All text reaches the page as text: nothing here writes HTML.
"use strict";

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

function columns() {
  return getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
}

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
