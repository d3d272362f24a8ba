// An exported page: each story stands in the page as packed JSON, and needs nothing else.
import { mount } from "./player.mjs";

const fromBase64 = (text) => {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
};

async function startPlayer(host) {
  const packed = JSON.parse(host.querySelector("script[type='application/json']").textContent);
  const stream = new Blob([fromBase64(packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  host.querySelector(".still")?.remove();
  mount(host, data.scene, fromBase64(data.bytes), { step: data.step, answers: data.answers, teacher: data.teacher });
}

for (const host of document.querySelectorAll("[data-hvlab-story]")) startPlayer(host);
