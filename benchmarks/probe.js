// Runs in the measured page before its own scripts: when a player is painted, what runs while nothing happens, and a
// stand-in for the model that anywidget gives to `render`.
(() => {
  const told = { timers: 0, frames: 0 }, asked = new Set();
  const raf = requestAnimationFrame.bind(window);
  for (const [name, count] of [["setTimeout", "timers"], ["setInterval", "timers"], ["requestAnimationFrame", "frames"]]) {
    const real = window[name].bind(window);
    window[name] = (...all) => (told[count]++, real(...all));
  }
  // After the frame that is being made: a message is handled once that frame is painted.
  function mark(name) {
    if (asked.has(name)) return;
    asked.add(name);
    raf(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => (told[name] = performance.now() - (told.begun ?? 0));
      channel.port2.postMessage(0);
    });
  }
  function look() {
    const player = document.querySelector(".hvlab:not([data-old])"), number = player?.querySelector(".number");
    if (!player?.querySelector(".caption")?.textContent) return;
    mark("first");
    if (number.value === number.max) mark("whole");
  }
  new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });

  function model(scene, story, step) {
    const state = { scene, story, step, answers: {}, teacher: true }, heard = {}, changed = new Set(), sent = [];
    return {
      sent,
      get: (name) => state[name],
      set(name, value) {
        if (state[name] === value) return;
        state[name] = value;
        changed.add(name);
        for (const hear of heard[`change:${name}`] ?? []) hear();
      },
      save_changes() {
        if (changed.size) sent.push(JSON.stringify(Object.fromEntries([...changed].map((name) => [name, state[name]]))));
        changed.clear();
      },
      send: (message) => sent.push(JSON.stringify(message)),
      on: (name, hear) => (heard[name] ??= []).push(hear),
      off: (name, hear) => (heard[name] = (heard[name] ?? []).filter((one) => one !== hear)),
    };
  }
  window.probe = {
    told,
    begin() {
      for (const old of document.querySelectorAll(".hvlab")) old.dataset.old = "";
      asked.clear();
      delete told.first;
      delete told.whole;
      told.begun = performance.now();
    },
    // One model, so many views of it, each in its own element; the story comes as text, as a comm message does.
    show([scene, story, step, views]) {
      const letters = atob(story), bytes = Uint8Array.from({ length: letters.length }, (_, i) => letters.charCodeAt(i));
      const made = model(JSON.parse(scene), new DataView(bytes.buffer), step);
      for (let view = 0; view < views; view++) window.widget.render({ model: made, el: document.body.appendChild(document.createElement("div")) });
      (probe.models ??= []).push(made);
    },
  };
})();
