// The page in the visitor's language: every English sentence of it is looked up in own/languages/CODE.json.
(() => {
  "use strict";
  const NAMES = ["aria-label", "placeholder", "title", "alt"];
  const english = new WeakMap();  // Of each text, so that the way back is there.
  let table = {};
  const plain = (text) => text.trim().replace(/\s+/g, " ");
  const t = (text) => table[plain(text)] ?? text;

  function translateText(node) {
    const known = english.get(node);
    // Gradio may have put another text there meanwhile.
    const source = known && (node.data === known.shown || node.data === known.text) ? known.text : node.data;
    const key = plain(source);
    const shown = key && table[key] ? source.replace(source.trim(), table[key]) : source;
    if (node.data !== shown) node.data = shown;
    if (shown !== source || known) english.set(node, { text: source, shown });
  }

  function translateNames(element) {
    const known = english.get(element) ?? {};
    for (const name of NAMES) {
      const now = element.getAttribute(name);
      if (!now) continue;
      const source = known[name] && now === known[name].shown ? known[name].text : now;
      const shown = t(source);
      if (now !== shown) element.setAttribute(name, shown);
      if (shown !== source || known[name]) known[name] = { text: source, shown };
    }
    if (Object.keys(known).length) english.set(element, known);
  }

  function translate(root) {
    if (root.nodeType === Node.TEXT_NODE) { translateText(root); return; }
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walker.currentNode; node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) {
        if (!/^(SCRIPT|STYLE|TEXTAREA|OPTION)$/.test(node.parentNode?.nodeName ?? "")) translateText(node);
      } else translateNames(node);
    }
  }

  async function speak(language) {
    table = {};
    if (language !== "en") {
      try {
        const answer = await fetch(`own/languages/${language}.json`);
        if (answer.ok) table = await answer.json(); else language = "en";
      } catch { language = "en"; }
    }
    document.documentElement.lang = language;
    window.realityCheck.language = language;
    const choice = document.getElementById("rc-language");
    if (choice) choice.value = language;
    translate(document.body);
  }

  window.realityCheck = { ...window.realityCheck, t, speak, language: "en" };
  new MutationObserver((changes) => {
    if (!Object.keys(table).length) return;
    for (const change of changes) {
      if (change.type === "characterData") translateText(change.target);
      for (const node of change.addedNodes) translate(node);
    }
  }).observe(document.documentElement, { childList: true, subtree: true, characterData: true });
  document.addEventListener("change", async (event) => {
    if (event.target.id !== "rc-language") return;
    localStorage.setItem("rc-language", event.target.value);
    await speak(event.target.value);
    window.realityCheck.again?.();
  });
  // Which languages there are stands in the page, which Gradio draws later.
  window.realityCheck.ready = () => {
    const known = [...document.querySelectorAll("#rc-language option")].map((option) => option.value);
    const wanted = localStorage.getItem("rc-language") ?? navigator.language.slice(0, 2);
    return speak(known.includes(wanted) ? wanted : "en");
  };
})();
