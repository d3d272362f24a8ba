// Run once in a page by test_payloads.py: what a page, or each player of it, is made of.
() => {
  const named = (player, name) => [...player.querySelectorAll('button')].find((one) => one.textContent.trim() === name);
  const inventory = (root) => {
    const all = [...root.querySelectorAll('*')], count = {};
    for (const one of all) count[one.localName] = (count[one.localName] ?? 0) + 1;
    return JSON.stringify([Object.entries(count).sort(), [...new Set(all.flatMap((one) => one.getAttributeNames()))].sort()]);
  };
  const painted = () => new Promise((done) => setTimeout(done, 0));
  const LEADS = ['href', 'src', 'srcdoc', 'action', 'formaction', 'xlink:href', 'data', 'background'];
  const MADE_UP = 'iframe, frame, object, embed, template, math, base, meta[http-equiv=refresh], marquee, bdi, area';
  window.probe = {
    all: () => inventory(document),
    // Each player by itself, after its pictures, its table and a card were shown.
    async players() {
      const made = [];
      for (const player of document.querySelectorAll('.hvlab')) {
        named(player, 'More').click();
        const box = player.querySelector('[aria-label=Box]');
        if (box) box.value = '0', box.dispatchEvent(new Event('change'));
        for (const tab of player.querySelectorAll('.tab')) tab.click();
        const parts = [inventory(player)];
        named(player, 'Table').click();
        made.push([...parts, inventory(player)].join());
        if (made.length % 20 === 0) await painted();
      }
      return made;
    },
    // One player whose lists are long: every card, every question with its outcome, every frame, the whole table.
    async lists(length, questions) {
      const player = document.querySelector('.hvlab'), made = [], box = player.querySelector('[aria-label=Box]');
      named(player, 'More').click();
      for (let k = 0; k < length; k++) {
        box.value = String(k), box.dispatchEvent(new Event('change'));
        made.push(inventory(player.querySelector('.card')));
      }
      named(player, 'Close card').click();
      for (let k = 0; k < questions; k++) {
        named(player, 'Last').click();
        const form = player.querySelector('form.gate');
        made.push(inventory(form));
        form.querySelectorAll('input[type=radio]')[1].checked = true;
        form.requestSubmit();
      }
      for (let k = 0; k < length; k++) {
        const field = player.querySelector('.number');
        field.value = String(k), field.dispatchEvent(new Event('change'));
        made.push(inventory(player.querySelector('.says')));
      }
      named(player, 'Table').click();
      return [...made, inventory(player)];
    },
    // Attributes that run or lead away, and elements that no page of ours has.
    forbidden: () => [...document.querySelectorAll(MADE_UP)].map((one) => one.outerHTML.slice(0, 80)).concat(
      [...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames()
        .filter((name) => name.startsWith('on') || (LEADS.includes(name) && !/^(data:image\/|#|https:|data:,$|[\w.-]+\.(html|ipynb)(#[\w-]*)?$)/.test(one.getAttribute(name))))
        .map((name) => `${one.localName} ${name}=${one.getAttribute(name)}`))),
  };
}
