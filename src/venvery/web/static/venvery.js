"use strict";
// Conveniences; every page works without them.

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

for (const form of document.querySelectorAll("[data-drop]")) {
  const field = form.elements[form.dataset.drop];
  const over = (event, is) => { event.preventDefault(); form.classList.toggle("over", is); };
  form.addEventListener("dragover", (event) => over(event, true));
  form.addEventListener("dragleave", (event) => over(event, false));
  form.addEventListener("drop", async (event) => {
    over(event, false);
    const [file] = event.dataTransfer.files;
    if (file) field.value = await file.text();
  });
}

// All that leads to a project is marked while it is pointed at.
for (const graph of document.querySelectorAll("svg.graph")) {
  const nodes = new Map([...graph.querySelectorAll("[data-node]")].map((node) => [node.dataset.node, node]));
  const edges = [...graph.querySelectorAll("[data-from]")];
  const mark = (name) => {
    const way = new Set([name]);
    const ahead = [name];
    graph.classList.add("marking");
    nodes.get(name).classList.add("marked");
    while (ahead.length) {
      const end = ahead.pop();
      for (const edge of edges.filter((one) => one.dataset.to === end)) {
        edge.classList.add("marked");
        const start = edge.dataset.from;
        nodes.get(start).classList.add("marked");
        if (!way.has(start)) { way.add(start); ahead.push(start); }
      }
    }
  };
  const unmark = () => {
    graph.classList.remove("marking");
    for (const one of graph.querySelectorAll(".marked")) one.classList.remove("marked");
  };
  for (const [name, node] of nodes) {
    for (const begin of ["mouseenter", "focus"]) node.addEventListener(begin, () => { unmark(); mark(name); });
    for (const end of ["mouseleave", "blur"]) node.addEventListener(end, unmark);
  }
}
