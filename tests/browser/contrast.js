// Run in the page by test_layout.py; gives a list of what is wrong.
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const once = (make, known = new Map()) => (key) => known.get(key) ?? known.set(key, make(key)).get(key);
  const rgba = once((colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; });
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * x + .7152 * y + .0722 * z; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const root = document.querySelector('.hvlab[data-measured]') ?? document.querySelector('.hvlab'), found = [];
  const ground = (node) => {
    for (let up = node; up; up = up.parentElement) { const c = rgba(getComputedStyle(up).backgroundColor); if (c[3] > 250) return c; }
    return [255, 255, 255, 255];
  };
  const painted = once((svg) => [...svg.querySelectorAll('rect, circle, path')].reverse()
    .filter((shape) => !shape.closest('defs, .off') && shape.checkVisibility())
    .map((shape) => ({ box: shape.getBoundingClientRect(), fill: getComputedStyle(shape).fill }))
    .filter(({ fill }) => fill !== 'none' && !fill.startsWith('url')));
  const behind = (svg, box) => {
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    const shape = painted(svg).find(({ box: s }) => x >= s.left && x <= s.right && y >= s.top && y <= s.bottom);
    return shape ? rgba(shape.fill) : ground(svg.parentElement);
  };
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement, svg = node.ownerSVGElement;
    if (!text.textContent.trim() || !node.checkVisibility() || node.closest('.sr, .off, option, title, desc')) continue;
    const style = getComputedStyle(node), ink = rgba(svg ? style.fill : style.color);
    const value = ratio(ink, svg ? behind(svg, node.getBoundingClientRect()) : ground(node));
    if (value < 4.5) found.push(`${value.toFixed(2)} "${text.textContent.trim().slice(0, 30)}"`);
  }
  for (const node of root.querySelectorAll('.picture rect, .picture path')) {
    if (node.closest('defs, .off') || !node.checkVisibility()) continue;
    const value = ratio(rgba(getComputedStyle(node).stroke), ground(node.ownerSVGElement.parentElement));
    if (value < 3) found.push(`line ${value.toFixed(2)} ${node.getAttribute('class')}`);
  }
  for (const node of root.querySelectorAll('button, select, input[type=text], input[type=number]')) {
    if (!node.checkVisibility() || node.classList.contains('link')) continue;
    const value = ratio(rgba(getComputedStyle(node).borderTopColor), ground(node.parentElement));
    if (value < 3) found.push(`border ${value.toFixed(2)} ${node.textContent}`);
  }
  return found;
}
