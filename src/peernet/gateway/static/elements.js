// Elements of the page, made node by node: whatever comes from afar becomes text, and never markup.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// An answer as blocks: what stands between fences of three backticks is code, an empty line ends a paragraph, and lines
// between double asterisks are a title: so the client heads the parts of an answer. A fence that is still open, as
// while an answer streams, goes on to the end.
export function blocksOf(text) {
  const blocks = [];
  let paragraph = [], code = null;
  const close = () => {
    const words = paragraph.join("\n");
    const isTitle = paragraph.every((line) => /^\*\*[^*]+\*\*$/.test(line));
    if (words && isTitle) blocks.push({ kind: "h4", text: words.replaceAll("**", "") });
    else if (words) blocks.push({ kind: "p", text: words });
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    const fence = /^ {0,3}```/.test(line);
    if (code !== null && fence) {
      blocks.push({ kind: "pre", text: code.join("\n") });
      code = null;
    } else if (code !== null) {
      code.push(line);
    } else if (fence) {
      close();
      code = [];
    } else if (line.trim() === "") {
      close();
    } else {
      paragraph.push(line);
    }
  }
  close();
  if (code !== null) blocks.push({ kind: "pre", text: code.join("\n") });
  return blocks;
}

// Shows `text` in `place`. Blocks that have not changed stay the nodes that they are, so that a selection survives.
export function showText(place, text) {
  const blocks = blocksOf(text);
  blocks.forEach(({ kind, text: words }, index) => {
    const old = place.children[index];
    if (old?.localName === kind) {
      if (old.textContent !== words) (kind === "pre" ? old.firstChild : old).textContent = words;
      return;
    }
    const made = kind === "pre" ? element("pre", { tabindex: "0" }, element("code", {}, words)) : element(kind, {}, words);
    if (old) old.replaceWith(made);
    else place.append(made);
  });
  while (place.children.length > blocks.length) place.lastElementChild.remove();
}
