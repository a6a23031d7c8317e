// What is shown of an answer: only the one about the pictures that are chosen, with heat maps, the report and the table.
(() => {
  "use strict";
  const page = window.realityCheck;
  const byId = (id) => document.getElementById(id);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)"), narrow = window.matchMedia("(max-width: 760px)");
  let shown = "";

  // The state of the page follows from what is chosen and what was answered: empty, chosen, working or answer.
  page.sync = () => {
    const result = byId("rc-result");
    if (!result) return;
    const answer = result.querySelector(".rc-for"), tickets = page.tickets?.() ?? "";
    const about = answer?.dataset.tickets ?? "";
    // A problem that stopped an upload belongs to whoever pressed the button; an answer only to its own pictures.
    const fits = Boolean(answer) && (about.startsWith("!") ? page.isWanted() || !page.hasFiles() : about === tickets);
    const kept = fits && !(about.startsWith("!") && about !== "!nothing" && !page.hasFiles());
    if (answer) answer.hidden = !kept;
    const names = page.names?.() ?? [];
    for (const place of result.querySelectorAll("[data-name]:empty")) place.textContent = names[place.dataset.name] ?? "";
    const isVerdict = kept && Boolean(answer.querySelector("[data-verdict]"));
    const waits = page.isWanted?.() && !(kept && answer.querySelector("[data-verdict], [data-state]:not([data-state=loading])"));
    const now = isVerdict ? "answer" : waits ? "working" : page.hasFiles?.() ? "chosen" : "empty";
    document.body.dataset.rc = now;
    const cancel = byId("rc-cancel");
    if (cancel) cancel.hidden = now !== "working";
    result.setAttribute("aria-busy", String(now === "working"));
    if (isVerdict && shown !== about) arrive(answer);
    shown = isVerdict ? about : "";
    if (!isVerdict && byId("rc-announce")?.textContent) byId("rc-announce").textContent = "";
  };

  function arrive(answer) {
    // Read aloud: the verdict and its chance, not the whole answer.
    const said = [...answer.querySelectorAll(".rc-verdict h2, .rc-chance b, .rc-table h2")].map((one) => one.lastChild.textContent);
    byId("rc-announce").textContent = said.join(". ");
    const at = answer.getBoundingClientRect().top;
    if (at > (narrow.matches ? 160 : window.innerHeight * 0.4) || at < 0) answer.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
  }

  async function toggleHeat(button) {
    const card = button.closest(".rc-card"), picture = card.querySelector("img");
    if (button.getAttribute("aria-pressed") === "true") {
      picture.src = button.dataset.plain;
      button.setAttribute("aria-pressed", "false");
      return;
    }
    button.dataset.plain = picture.src;
    button.disabled = true;
    try {
      const answer = await page.post(`pictures/heat/${button.dataset.face}?language=${page.language}`, ticketOf(button));
      const told = await answer.json();
      let note = card.querySelector(".rc-heat-note");
      if (!note) { note = document.createElement("p"); note.className = "rc-heat-note"; button.after(note); }
      note.textContent = answer.ok ? told.means : told.detail;
      if (!answer.ok) return;
      picture.src = told.picture;
      button.setAttribute("aria-pressed", "true");
    } finally { button.disabled = false; }
  }

  function ticketOf(element) {
    const sides = [...document.querySelectorAll(".rc-side")], side = element.closest(".rc-side");
    return page.tickets().split(" ")[Math.max(sides.indexOf(side), 0)];
  }

  function enlarge(card) {
    const picture = card.querySelector("img"), isHeat = Boolean(card.querySelector(".rc-heat[aria-pressed=true]"));
    const large = byId("rc-large-picture");
    large.src = picture.src;
    large.alt = picture.alt;
    byId("rc-large-scale").hidden = !isHeat;
    byId("rc-large-note").textContent = (isHeat && card.querySelector(".rc-heat-note")?.textContent) || "";
    byId("rc-large").showModal();
  }

  async function report(button) {
    const said = button.parentElement.querySelector("[role=status]");
    button.disabled = true;
    said.textContent = page.t("The report is being made.");
    try {
      const answer = await page.post(`pictures/report?language=${page.language}`, ticketOf(button));
      if (!answer.ok) { said.textContent = page.t((await answer.json()).detail); return; }
      const html = await answer.blob(), address = URL.createObjectURL(html);
      if (button.dataset.report === "print") print(address); else save(address, "facecheck-report.html");
      said.textContent = page.t("The report is ready. It was not kept on this server.");
    } catch { said.textContent = page.t("The connection to the server failed. Please try again."); }
    finally { button.disabled = false; }
  }

  function save(address, name) {
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  function print(address) {
    const frame = document.createElement("iframe");
    frame.title = page.t("The report");
    frame.onload = () => { frame.contentWindow.focus(); frame.contentWindow.print(); };
    frame.src = address;
    byId("rc-print").replaceChildren(frame);
  }

  function csv(button) {
    // A cell that begins like a formula would be run by a spreadsheet.
    const quoted = (text) => `"${text.trim().replace(/\s+/g, " ").replace(/^([=+\-@])/, "'$1").replaceAll('"', '""')}"`;
    const rows = [...button.closest(".rc-table").querySelectorAll("tr")].map((row) => {
      const cells = [...row.cells].map((cell) => quoted(cell.textContent));
      return [...cells, quoted(row.dataset.verdictOf ?? "verdict")].join(",");
    });
    save(URL.createObjectURL(new Blob(["\ufeff", rows.join("\r\n"), "\r\n"], { type: "text/csv" })), "facecheck-table.csv");
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button"), large = byId("rc-large");
    if (event.target === large) large.close();
    if (event.target.matches(".rc-card > img")) enlarge(event.target.closest(".rc-card"));
    if (!button) return;
    if (button.classList.contains("rc-heat")) toggleHeat(button);
    else if (button.classList.contains("rc-zoom")) enlarge(button.closest(".rc-card"));
    else if (button.dataset.report) report(button);
    else if ("csv" in button.dataset) csv(button);
  });
  new MutationObserver(() => page.sync()).observe(document.documentElement, { childList: true, subtree: true });
})();
