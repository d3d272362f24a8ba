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
        model.set("step", k);
        clearTimeout(rest);
        rest = setTimeout(() => model.save_changes(), 100);
      },
      answered(answers) {
        model.set("answers", answers);
      },
      ask(question) {
        try {
          model.send(question);
        } catch (error) {
          console.warn("The kernel does not hear:", error);
        }
      },
    });
    const follow = () => player.go(model.get("step")), hear = (message) => player.hear(message);
    const open = () => player.answersChanged(model.get("answers"));
    model.on("change:step", follow);
    model.on("change:answers", open);
    model.on("msg:custom", hear);
    return () => {
      clearTimeout(rest);
      model.off("change:step", follow);
      model.off("change:answers", open);
      model.off("msg:custom", hear);
      player.destroy();
    };
  },
};
