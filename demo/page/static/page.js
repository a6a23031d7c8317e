// The visitor's side of the page: which pictures are chosen, and their way to the server. What is shown of an answer
// stands in answers.js. Elements come and go with Gradio, so events are caught at the document.
(() => {
  "use strict";
  const MOST = 20;
  const byId = (id) => document.getElementById(id);
  const show = (id, visible) => { const element = byId(id); if (element) element.hidden = !visible; };
  // Each chosen file with its ticket, once it was sent; `wanted` is the choice that the button was last pressed for.
  const state = { files: [], wanted: null, sending: null, upload: null, previews: [], dropped: 0 };
  // Addresses are relative, so that the page also works below a proxy's path.
  const type = { "content-type": "application/octet-stream" };
  const post = (path, body, signal) => fetch(path, { method: "POST", body, headers: type, signal });
  const page = window.realityCheck;

  function forget() {
    for (const one of state.files) {
      if (one.ticket) navigator.sendBeacon("pictures/forget", one.ticket);
      one.ticket = null;
    }
  }

  function choose(...files) {
    state.upload?.abort();
    forget();
    byId("rc-large")?.close();
    window.dispatchEvent(new Event("rc-camera-close"));
    state.previews.forEach((address) => URL.revokeObjectURL(address));
    state.files = files.filter(Boolean).map((file) => ({ file, ticket: null }));
    state.previews = state.files.map((one) => URL.createObjectURL(one.file));
    state.wanted = null;
    showChosen();
    if (!state.files.length) byId("rc-file").value = "";
    page.sync();
  }

  function showChosen() {
    const [first] = state.files, isOne = state.files.length === 1;
    const isClip = Boolean(isOne && first.file.type.startsWith("video/"));
    show("rc-drop", !first); show("rc-chosen", first); show("rc-clear", first); show("rc-another", first);
    show("rc-compare", isOne && !isClip);
    show("rc-preview", isOne && !isClip); show("rc-clip", isClip); show("rc-nopreview", false);
    show("rc-files", state.files.length > 1);
    const picture = byId("rc-preview"), clip = byId("rc-clip");
    picture.onerror = () => { show("rc-preview", false); show("rc-nopreview", true); };
    if (isOne && !isClip) picture.src = state.previews[0]; else picture.removeAttribute("src");
    if (isClip) clip.src = state.previews[0]; else clip.removeAttribute("src");
    byId("rc-files").replaceChildren(...state.files.slice(0, MOST + 1).map((one) => {
      const item = document.createElement("li");
      item.textContent = one.file.name;
      return item;
    }));
  }

  const tickets = () => state.files.map((one) => one.ticket ?? "").join(" ");

  // Uploads once; pressing the button again uses the same tickets. What starts with "!" names a problem.
  function send() {
    const gone = document.querySelector("[data-gone]")?.dataset.gone;
    for (const one of state.files) if (gone && one.ticket === gone) one.ticket = null;
    if (state.files.length > MOST) return "!too_many";
    if (state.files.length && state.files.every((one) => one.ticket)) { state.wanted = state.files; page.sync(); return tickets(); }
    state.wanted = state.files;
    page.sync();
    state.sending ??= sendWanted().finally(() => { state.sending = null; page.sync(); });
    return state.sending;
  }

  // The visitor may choose other files while some are on their way: those are broken off, the others sent once wanted.
  async function sendWanted() {
    while (state.files.length && state.files === state.wanted) {
      const files = state.files;
      let answer = "";
      for (const one of files) {
        if (one.ticket) continue;
        answer = await upload(one.file);
        if (answer.startsWith("!") || state.files !== files) break;
        one.ticket = answer;
      }
      if (state.files === files) return answer.startsWith("!") ? answer : tickets();
      if (answer && !answer.startsWith("!")) navigator.sendBeacon("pictures/forget", answer);
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

  function check(...files) {
    choose(...files);
    byId("rc-submit").click();
  }

  async function tryExample(button) {
    const answer = await fetch(button.dataset.example);
    const bytes = await answer.blob();
    check(new File([bytes], button.dataset.example.split("/").pop(), { type: bytes.type }));
  }

  function setTheme(dark) {
    document.body.classList.toggle("dark", dark);
    const button = byId("rc-theme");
    if (!button) return;
    button.setAttribute("aria-pressed", String(dark));
    button.querySelector("span").textContent = page.t(dark ? "Light" : "Dark");
    button.setAttribute("aria-label", page.t(dark ? "Dark theme is on; switch to light" : "Switch to the dark theme"));
  }

  const clicks = {
    "rc-clear": () => { choose(); byId("rc-file").focus(); },
    // Whoever forgets the picture ends its work.
    "rc-cancel": () => { choose(...state.files.map((one) => one.file)); byId("rc-submit").focus(); },
    "rc-take": () => byId("rc-file-camera").click(),
    "rc-compare": () => byId("rc-file-other").click(),
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
    else if (button.dataset.open) check(state.files[button.dataset.open].file);
    else clicks[button.id]?.();
  });
  document.addEventListener("change", (event) => {
    const { id, files } = event.target;
    if (!files?.length) return;
    if (id === "rc-file") choose(...files);
    if (id === "rc-file-camera") check(...files);
    if (id === "rc-file-other" && state.files.length) check(state.files[0].file, files[0]);
    if (id !== "rc-file") event.target.value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();  // A file that misses the well must not replace the page.
      byId("rc-well")?.classList.toggle("rc-over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) check(...event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) check(...files);
  });
  window.addEventListener("pagehide", forget);

  const ready = new MutationObserver(() => {
    if (!byId("rc-theme") || !byId("rc-result") || !byId("rc-file")) return;
    ready.disconnect();
    const chosen = localStorage.getItem("rc-theme");
    setTheme(chosen ? chosen === "dark" : document.body.classList.contains("dark"));
    page.ready().then(() => setTheme(document.body.classList.contains("dark")));
    page.sync();
  });
  ready.observe(document.documentElement, { childList: true, subtree: true });
  const again = () => { if (document.body.dataset.rc === "answer") byId("rc-submit").click(); };
  const names = () => state.files.map((one) => one.file.name);
  const isWanted = () => state.files.length > 0 && state.wanted === state.files;
  Object.assign(page, { send, choose, check, again, tickets, names, isWanted, post, hasFiles: () => state.files.length > 0 });
})();
