// An exported page: each story stands in the page as JSON and base64, and needs nothing else.
import { mount } from "./player.mjs";

for (const host of document.querySelectorAll("[data-hvlab-story]")) {
  const data = JSON.parse(host.querySelector("script[type='application/json']").textContent), text = atob(data.bytes);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  host.querySelector(".still")?.remove();
  mount(host, data.scene, bytes, { step: data.step, answers: data.answers, teacher: data.teacher });
}
