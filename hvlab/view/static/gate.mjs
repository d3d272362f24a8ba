// A prediction: the question that closes the story until an answer is in. Works without a kernel.
import { CONFIDENCE, judge, numberIn, openGate, orderOf, truthOf } from "./core.mjs";
import { el, icon } from "./draw.mjs";

export function makeGates(ctx) {
  const { t, prefix } = ctx, form = el("div"), pinned = el("div"), node = el("div.gates", form, pinned);
  let asked = null, kernel = "";

  // Radio buttons or check boxes; `read` gives the values that are chosen.
  function boxes(type, name, legend, choices, given) {
    const inputs = choices.map((one) => el("input", { type, name: prefix + name, value: one.value, checked: one.value === given }));
    const labels = inputs.map((input, at) => el("label.choice", input, choices[at].label));
    const read = () => inputs.filter((input) => input.checked).map((input) => input.value);
    return { node: el("fieldset", legend, ...labels), first: inputs[0], read };
  }
  function ask(gate) {
    const field = fieldFor(gate), wrong = el("p.fault", { id: `${prefix}-wrong`, role: "alert" });
    const sure = boxes("radio", "sure", el("legend", t("You are:")), CONFIDENCE.map((value) => ({ value, label: t(value) })), "think");
    return el("form.gate", { "aria-label": t("Prediction"), onsubmit: (event) => {
      event.preventDefault();
      const value = field.read();
      wrong.textContent = value === undefined ? field.wanted : "";
      if (value !== undefined) return ctx.answered(gate, value, sure.read()[0] ?? "");
      field.first.ariaInvalid = true;
      field.first.setAttribute("aria-describedby", wrong.id);
      return field.first.focus();
    } }, el("p.ask", { id: `${prefix}-ask` }, icon("lock"), el("b", t("Predict first.")), " ", gate.question),
    el("div.bar", field.node, sure.node, el("button.primary", { type: "submit" }, t("Answer"))), wrong);
  }
  // A field: its node, where the focus goes, what it wants, and `read`: a number, or undefined until there is one.
  function fieldFor(gate) {
    const legend = el("legend.sr", gate.question), chosen = (field) => field.read().map(BigInt)[0];
    if (gate.kind === "order") return orderField(gate, legend);
    if (gate.kind === "yes") {
      const field = boxes("radio", "answer", legend, [{ value: "1", label: t("yes") }, { value: "0", label: t("no") }]);
      if (!gate.reasons) return { ...field, wanted: t("wanted yes or no"), read: () => chosen(field) };
      const why = boxes("radio", "reason", el("legend", t("because")), gate.reasons);
      const read = () => (field.read().length && why.read().length ? chosen(field) + 2n * chosen(why) : undefined);
      return { ...field, wanted: t("wanted yes or no, and a reason"), node: el("div.parts", field.node, why.node), read };
    }
    if (gate.choices.length) {
      const many = gate.kind === "subset", field = boxes(many ? "checkbox" : "radio", "answer", legend, gate.choices);
      const read = () => (many ? field.read().reduce((sum, value) => sum + BigInt(value), 0n) : chosen(field));
      return { ...field, wanted: t("wanted one of the choices"), read };
    }
    const input = el("input", { type: "text", maxlength: 40, autocomplete: "off", spellcheck: "false", "aria-labelledby": `${prefix}-ask` });
    return { node: input, first: input, wanted: t("wanted a whole number such as 24 or 0x18"), read: () => numberIn(input.value) };
  }
  // Each name has two native buttons that move it; the focus stays on the button, also where the name has moved.
  function orderField(gate, legend) {
    const rows = gate.choices.map((one) => {
      const name = one.label, mover = (sign, label, by) => el("button.quiet", { "aria-label": label, onclick: ({ target }) => move(row, by, target) }, sign);
      const row = el("li", { "data-value": one.value }, mover("↑", t("Earlier: {name}", { name }), -1), mover("↓", t("Later: {name}", { name }), 1), el("span", name));
      return row;
    });
    const list = el("ol.order", ...rows);
    function move(row, by, target) {
      const to = rows.indexOf(row) + by;
      if (!rows[to]) return;
      rows.splice(to, 0, ...rows.splice(to - by, 1));
      list.replaceChildren(...rows);
      target.focus();
      ctx.announce(t("{name} is now number {place} of {count}.", { name: row.lastChild.textContent, place: to + 1, count: rows.length }));
    }
    const read = () => orderOf(rows.map((row) => row.dataset.value));
    return { node: el("fieldset", legend, list), first: list, read };
  }
  function pin(gate, k) {
    const answer = ctx.answers()[gate.id];
    if (answer?.value === undefined) return undefined;
    const truth = truthOf(gate, (fact) => ctx.story.value(fact, gate.at));
    const outcome = judge(gate, BigInt(answer.value), truth, answer.confidence, t), seen = ctx.furthest() >= gate.at;
    const line = el("p.outcome", el("b", outcome.said), " ",
      seen ? `${outcome.truth} ${outcome.explains}` : t("Step on, and see what the machine does."));
    const to = seen ? outcome.frame : gate.at, text = seen ? t("Go to frame {frame}", { frame: to }) : t("Go to the outcome");
    if (k !== to && to <= ctx.limit()) line.append(" ", el("button.quiet", { onclick: () => ctx.to(to) }, text));
    return line;
  }
  return {
    node,
    show(k, pressed) {
      const gate = openGate(ctx.scene, ctx.answers());
      const due = gate && !ctx.teacher && (k === gate.frame || pressed);
      if (!due) form.replaceChildren(), (asked = null);
      else if (asked !== gate) form.replaceChildren(ask(gate)), (asked = gate);
      if (pinned.contains(document.activeElement)) ctx.section.focus();
      pinned.replaceChildren(...ctx.scene.gates.map((one) => pin(one, k)).filter(Boolean));
      if (kernel) pinned.append(el("p.soft", kernel));
    },
    noKernel(sentence) {
      kernel = sentence;
    },
  };
}
