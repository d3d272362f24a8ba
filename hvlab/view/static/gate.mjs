// A prediction: the question that closes the story until an answer is in. Works without a kernel.
import { CONFIDENCE, judge, openGate, parse } from "./core.mjs";
import { el, icon } from "./draw.mjs";

export function makeGates(ctx) {
  const form = el("div"), pinned = el("div"), node = el("div.gates", {}, form, pinned);
  let asked = null, kernel = "";

  function ask(gate) {
    const field = fieldFor(gate), wrong = el("p.fault", { id: `${ctx.prefix}-wrong`, role: "alert" });
    const sure = CONFIDENCE.map((word, at) => el("label.choice", {}, el("input", { type: "radio", name: `${ctx.prefix}-sure`, value: word, checked: at === 1 }), word));
    const send = el("button.primary", { type: "submit" }, "Answer");
    return el("form.gate", { "aria-label": "Prediction", onsubmit: (event) => {
      event.preventDefault();
      const found = parse(gate, field.read());
      wrong.textContent = found.error ?? "";
      if (found.error) {
        field.first.setAttribute("aria-invalid", "true");
        field.first.setAttribute("aria-describedby", `${ctx.prefix}-wrong`);
        field.first.focus();
        return;
      }
      ctx.answered(gate, found.value, form.querySelector(`input[name="${ctx.prefix}-sure"]:checked`)?.value ?? "");
    } }, el("p.ask", { id: `${ctx.prefix}-ask` }, icon("lock"), el("b", {}, "Predict first. "), gate.question),
    el("div.bar", {}, field.node, el("fieldset", {}, el("legend", {}, "You are: "), ...sure), send), wrong);
  }
  function fieldFor(gate) {
    const many = gate.kind === "subset", name = `${ctx.prefix}-answer`;
    const choices = gate.kind === "yes" ? [{ value: "1", label: "yes" }, { value: "0", label: "no" }] : gate.choices;
    if (gate.kind === "yes" || gate.kind === "pick" || many) {
      const inputs = choices.map((one) => el("input", { type: many ? "checkbox" : "radio", name, value: one.value }));
      const box = el("fieldset", {}, el("legend.sr", {}, gate.question), ...inputs.map((input, at) => el("label.choice", {}, input, choices[at].label)));
      const chosen = () => inputs.filter((input) => input.checked).map((input) => input.value);
      return { node: box, first: inputs[0], read: () => (many ? chosen().reduce((sum, value) => sum + BigInt(value), 0n) : chosen()[0] ?? "") };
    }
    const input = el("input", { type: "text", maxlength: 40, autocomplete: "off", spellcheck: "false", "aria-labelledby": `${ctx.prefix}-ask` });
    return { node: input, first: input, read: () => input.value };
  }
  function pin(gate, k) {
    const answer = ctx.answers()[gate.id];
    if (!answer || answer.value === undefined) return undefined;
    const outcome = judge(gate, BigInt(answer.value), ctx.story.value(gate.fact, gate.at), answer.confidence);
    const seen = ctx.furthest() >= gate.at;
    const line = el("p.outcome", {}, el("b", {}, outcome.said), " ",
      seen ? `${outcome.truth} ${outcome.explains}` : "Step on, and see what the machine does.");
    const to = seen ? outcome.frame : gate.at, text = seen ? `Go to frame ${to}` : "Go to the outcome";
    if (k !== to && to <= ctx.limit()) line.append(" ", el("button.quiet", { type: "button", onclick: () => ctx.go(to, { manual: true }) }, text));
    return line;
  }
  return {
    node,
    show(k, pressed) {
      const gate = openGate(ctx.scene, ctx.answers());
      const due = gate && !ctx.teacher && (k === gate.frame || pressed);
      if (!due) form.replaceChildren(), (asked = null);
      else if (asked !== gate) form.replaceChildren(ask(gate)), (asked = gate);
      if (pinned.contains(document.activeElement)) ctx.keepFocus();
      pinned.replaceChildren(...ctx.scene.gates.map((one) => pin(one, k)).filter(Boolean));
      if (kernel) pinned.append(el("p.soft", {}, kernel));
    },
    noKernel(sentence) {
      kernel = sentence;
    },
  };
}
