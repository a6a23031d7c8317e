// The camera: one picture, or judged live. One frame is under way at a time, so a slow server drops frames, not time.
(() => {
  "use strict";
  const SIDE = 640;
  const byId = (id) => document.getElementById(id);
  const show = (id, visible) => { const element = byId(id); if (element) element.hidden = !visible; };
  const camera = { stream: null, live: false, name: "" };
  const COLOURS = { real: "#4ea3f5", fake: "#ff4b3e", uncertain: "#f0b429" };
  const page = window.realityCheck;
  const say = (text) => { byId("rc-live").textContent = page.t(text); };

  async function open() {
    page.choose(null);
    try {
      camera.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    } catch {
      show("rc-drop", false); show("rc-camera", true); show("rc-camera-off", true);
      say("The camera cannot be used. Allow it in your browser, or choose a picture.");
      return;
    }
    const video = byId("rc-video");
    video.srcObject = camera.stream;
    await video.play();
    show("rc-drop", false); show("rc-camera", true); show("rc-camera-on", false);
    for (const id of ["rc-shoot", "rc-live-on", "rc-camera-off"]) show(id, true);
    say("Nothing is sent yet.");
  }

  function close() {
    stop();
    camera.stream?.getTracks().forEach((track) => track.stop());
    camera.stream = null;
    show("rc-camera", false); show("rc-camera-on", true);
    for (const id of ["rc-shoot", "rc-live-on", "rc-camera-off"]) show(id, false);
    show("rc-drop", byId("rc-chosen")?.hidden ?? true);
  }

  function frame(side, quality) {
    const video = byId("rc-video");
    const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
  }

  async function shoot() {
    const picture = await frame(4096, 0.95);
    close();
    page.choose(new File([picture], "camera", { type: "image/jpeg" }));
    byId("rc-submit").click();
  }

  function draw(answer) {
    const canvas = byId("rc-overlay");
    [canvas.width, canvas.height] = answer.size;
    const pen = canvas.getContext("2d");
    pen.lineWidth = 3;
    pen.font = "600 16px 'IBM Plex Sans', sans-serif";
    for (const face of answer.faces) {
      const [x0, y0, x1, y1] = face.box;
      pen.strokeStyle = pen.fillStyle = COLOURS[face.verdict];
      pen.setLineDash(face.verdict === "uncertain" ? [8, 6] : []);
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
      const label = `${face.number}: ${face.score}`;
      pen.fillRect(x0, y0 - 22, pen.measureText(label).width + 12, 22);
      pen.fillStyle = "#10161a";
      pen.fillText(label, x0 + 6, y0 - 6);
    }
  }

  async function live() {
    const times = [];
    while (camera.live && camera.stream) {
      try {
        const answer = await fetch(`live/${camera.name}`, { method: "POST", body: await frame(SIDE, 0.9) });
        if (!camera.live) return;
        if (!answer.ok) { say((await answer.json()).detail); await new Promise((go) => setTimeout(go, 500)); continue; }
        const judged = await answer.json();
        draw(judged);
        times.push(performance.now());
        if (times.length > 20) times.shift();
        const rate = times.length > 1 ? (times.length - 1) * 1000 / (times.at(-1) - times[0]) : 0;
        const told = judged.faces.map((face) => `${face.number}: ${page.t(face.meaning)} ${face.score}`).join("; ");
        byId("rc-overlay").dataset.rate = rate.toFixed(1);
        say(`${told || page.t("No face found")} · ${rate.toFixed(1)} ${page.t("frames a second")}`);
      } catch { say("The connection was lost."); stop(); }
    }
  }

  function stop() {
    camera.live = false;
    byId("rc-live-on")?.setAttribute("aria-pressed", "false");
    const canvas = byId("rc-overlay");
    canvas?.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }

  function toggle() {
    if (camera.live) { stop(); return; }
    camera.live = true;
    camera.name = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    byId("rc-live-on").setAttribute("aria-pressed", "true");
    live();
  }

  const clicks = { "rc-camera-on": open, "rc-shoot": shoot, "rc-live-on": toggle, "rc-camera-off": close };
  document.addEventListener("click", (event) => clicks[event.target.closest("button")?.id]?.());
  window.addEventListener("rc-camera-close", () => { if (camera.stream) close(); });
})();
