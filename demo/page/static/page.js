// The visitor's side of the page. Elements come and go with Gradio, so events are caught at the document.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const show = (id, visible) => { const element = byId(id); if (element) element.hidden = !visible; };
  const state = { file: null, ticket: null, preview: null, wanted: null, sending: null, upload: null };
  // Addresses are relative, so that the page also works below a proxy's path.
  const type = { "content-type": "application/octet-stream" };
  const post = (path, body, signal) => fetch(path, { method: "POST", body, headers: type, signal });

  function forget() {
    if (state.ticket) navigator.sendBeacon("pictures/forget", state.ticket);
    state.ticket = null;
  }

  function choose(file) {
    state.upload?.abort();
    forget();
    window.dispatchEvent(new Event("rc-camera-close"));
    if (state.preview) URL.revokeObjectURL(state.preview);
    state.file = file;
    state.preview = file ? URL.createObjectURL(file) : null;
    const isClip = Boolean(file && file.type.startsWith("video/"));
    show("rc-drop", !file); show("rc-chosen", file); show("rc-clear", file);
    show("rc-preview", file && !isClip); show("rc-clip", isClip); show("rc-nopreview", false);
    const picture = byId("rc-preview"), clip = byId("rc-clip");
    picture.onerror = () => { show("rc-preview", false); show("rc-nopreview", true); };
    if (file && !isClip) picture.src = state.preview; else picture.removeAttribute("src");
    if (isClip) clip.src = state.preview; else clip.removeAttribute("src");
    if (!file) byId("rc-file").value = "";
  }

  // Uploads once; pressing the button again uses the same ticket. What starts with "!" names a problem.
  function send() {
    if (state.ticket && document.querySelector("[data-gone]")?.dataset.gone === state.ticket) state.ticket = null;
    if (state.ticket) return state.ticket;
    state.wanted = state.file;
    state.sending ??= sendWanted().finally(() => { state.sending = null; });
    return state.sending;
  }

  // The visitor may choose another file while one is on its way: that one is broken off, the other sent once wanted.
  async function sendWanted() {
    while (state.file && state.file === state.wanted) {
      const file = state.file, answer = await upload(file);
      if (!answer.startsWith("!")) state.ticket = answer;
      if (state.file === file) return answer;
      forget();
    }
    return "!nothing";
  }

  async function upload(file) {
    state.upload = new AbortController();
    try {
      const answer = await post("pictures", file, state.upload.signal);
      if (answer.status === 413) return "!too_large";
      if (answer.status === 429 || answer.status === 503) return "!busy";
      return answer.ok ? (await answer.json()).ticket : "!unsent";
    } catch { return "!unsent"; }
  }

  async function tryExample(button) {
    const answer = await fetch(button.dataset.example);
    const bytes = await answer.blob();
    choose(new File([bytes], "example", { type: bytes.type }));
    byId("rc-submit").click();
    if (window.matchMedia("(max-width: 760px)").matches) byId("rc-result").scrollIntoView();
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
      const answer = await post(`pictures/heat/${button.dataset.face}`, state.ticket ?? "");
      const told = await answer.json();
      let note = card.querySelector(".rc-heat-note");
      if (!note) { note = document.createElement("p"); note.className = "rc-heat-note"; button.after(note); }
      note.textContent = answer.ok ? told.means : told.detail;
      if (answer.status === 404) state.ticket = null;
      if (answer.ok) { picture.src = told.picture; button.setAttribute("aria-pressed", "true"); }
    } finally { button.disabled = false; }
  }

  function setTheme(dark) {
    document.body.classList.toggle("dark", dark);
    const button = byId("rc-theme");
    if (button) {
      button.setAttribute("aria-pressed", String(dark));
      button.querySelector("span").textContent = dark ? "Light" : "Dark";
      button.setAttribute("aria-label", dark ? "Dark theme is on; switch to light" : "Switch to the dark theme");
    }
  }

  const clicks = {
    "rc-clear": () => choose(null),
    "rc-theme": () => {
      const dark = !document.body.classList.contains("dark");
      localStorage.setItem("rc-theme", dark ? "dark" : "light");
      setTheme(dark);
    },
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.example) tryExample(button);
    else if (button.dataset.face) toggleHeat(button);
    else clicks[button.id]?.();
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "rc-file" && event.target.files.length) choose(event.target.files[0]);
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      const well = event.target.closest?.(".rc-picker");
      event.preventDefault();  // A file that misses the well must not replace the page.
      byId("rc-well")?.classList.toggle("rc-over", Boolean(well) && name === "dragover");
      if (name === "drop" && well && event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (file) choose(file);
  });
  window.addEventListener("pagehide", forget);

  const ready = new MutationObserver(() => {
    if (!byId("rc-theme")) return;
    const chosen = localStorage.getItem("rc-theme");
    if (chosen) setTheme(chosen === "dark"); else setTheme(document.body.classList.contains("dark"));
    byId("rc-result")?.setAttribute("aria-live", "polite");
    ready.disconnect();
  });
  ready.observe(document.documentElement, { childList: true, subtree: true });
  window.realityCheck = { send, choose };
})();
