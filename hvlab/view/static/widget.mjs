// The notebook's side: one view, of perhaps many of one model. Nothing here outlives the view.
import { mount } from "./player.mjs";

export default {
  render({ model, el: host }) {
    let rest = 0;
    const raw = model.get("story"), bytes = new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength).slice();
    const player = mount(host, model.get("scene"), bytes, {
      step: model.get("step"),
      answers: model.get("answers"),
      teacher: model.get("teacher"),
      moved(k) {
        model.set("step", k, { ours: true });
        clearTimeout(rest);
        rest = setTimeout(() => {
          rest = 0;
          model.save_changes();
        }, 100);
      },
      answered(answers) {
        model.set("answers", answers);
      },
      ask(question) {
        try {
          model.send(question);
        } catch (error) {
          console.warn(error);
        }
      },
    });
    const heard = {
      // The kernel repeats what it was sent. Whoever has moved on since is not thrown back to it.
      "change:step": (_model, _step, made) => (rest && !made?.ours ? model.set("step", player.at(), { ours: true }) : player.go(model.get("step"))),
      "change:answers": () => player.answersChanged(model.get("answers")),
      "msg:custom": (message) => player.hear(message),
    };
    for (const [name, hear] of Object.entries(heard)) model.on(name, hear);
    return () => {
      clearTimeout(rest);
      for (const [name, hear] of Object.entries(heard)) model.off(name, hear);
      player.destroy();
    };
  },
};
