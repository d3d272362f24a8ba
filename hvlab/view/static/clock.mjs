// Play and Pause: the only timer that runs, and only while a story plays.
import { el, icon } from "./draw.mjs";

const SPEEDS = [0.5, 1, 2, 4, 10];

export function makeClock(ctx) {
  let timer = 0, on = false;
  const slowed = ctx.story.timed || !ctx.complete() ? [3, 4, 5, 6] : [];
  const button = el("button", { type: "button", onclick: () => (on ? pause(true) : start()) });
  const speed = el("select.speed", { "aria-label": "Speed", title: "Frames a second, or simulated time slowed down" },
    ...SPEEDS.map((rate) => el("option", { value: rate, selected: rate === 1 }, `${rate}/s`)),
    ...slowed.map((n) => el("option", { value: -n }, `×10⁻${"⁰¹²³⁴⁵⁶"[n]}`)));

  function set(now) {
    on = now;
    clearTimeout(timer);
    button.title = now ? "Pause" : "Play";
    button.replaceChildren(icon(button.title.toLowerCase()), el("span.word", {}, button.title));
    ctx.section.classList.toggle("fast", now && Number(speed.value) > 2);
  }
  function start() {
    if (ctx.at() === ctx.limit() && !ctx.closed()) ctx.go(0);
    set(true);
    tick();
  }
  function delay(to) {
    const rate = Number(speed.value), time = ctx.story.columns.time;
    return rate > 0 ? 1000 / rate : Math.min(3000, Math.max(50, (time[to] - time[ctx.at()]) * 1e-6 * 10 ** -rate));
  }
  function tick() {
    const to = ctx.neighbour(1);
    if (to > ctx.limit()) return pause(true, true);
    timer = setTimeout(() => {
      ctx.go(to);
      if (on && ctx.stopHere(ctx.at())) pause(true);
      else if (on) tick();
    }, delay(to));
    return undefined;
  }
  function pause(aloud = false, ended = false) {
    if (!on) return;
    set(false);
    if (ended && ctx.closed()) ctx.go(ctx.at() + 1, { manual: true });
    else if (aloud) ctx.announce(`Paused. ${ctx.sentence()}`);
    if (aloud) ctx.moved();
  }
  set(false);
  return { button, speed, pause, playing: () => on, destroy: () => clearTimeout(timer) };
}
