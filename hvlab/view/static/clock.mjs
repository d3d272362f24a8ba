// Play and Pause: the only timer that runs, and only while a story plays.
import { choice, el, icon, option } from "./draw.mjs";

const SPEEDS = [0.5, 1, 2, 4, 10];

export function makeClock(ctx) {
  const { t } = ctx, slowed = ctx.story.timed || !ctx.complete() ? [3, 4, 5, 6] : [];
  let timer = 0, on = false;
  const button = el("button", { onclick: () => (on ? pause(true) : start()) });
  const speed = choice(t("Speed"), undefined, ...SPEEDS.map((rate) => option(rate, t("{rate}/s", { rate }), rate === 1)),
    ...slowed.map((n) => option(-n, `×10⁻${"⁰¹²³⁴⁵⁶"[n]}`)));
  speed.className = "speed";
  speed.title = t("Frames a second, or simulated time slowed down");

  function set(now) {
    on = now;
    clearTimeout(timer);
    button.title = now ? t("Pause") : t("Play");
    button.replaceChildren(icon(now ? "pause" : "play"), el("span.word", button.title));
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
  }
  function pause(aloud = false, ended = false) {
    if (!on) return;
    set(false);
    if (ended && ctx.closed()) ctx.to(ctx.at() + 1);
    else if (aloud) ctx.announce(t("Paused. {sentence}", { sentence: ctx.sentence() }));
    if (aloud) ctx.moved();
  }
  set(false);
  return { button, speed, pause, playing: () => on, destroy: () => clearTimeout(timer) };
}
