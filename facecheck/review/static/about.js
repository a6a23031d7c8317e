// The chosen file: its picture, what is said of it, its heat map. All text reaches the page as text: nothing here writes HTML.
"use strict";

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
