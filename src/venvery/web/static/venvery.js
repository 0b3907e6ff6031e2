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

// Files are sent one after another, each with its own progress and its own answer.
for (const form of document.querySelectorAll("[data-upload]")) {
  const results = document.querySelector(".results");
  const field = form.elements.content;
  const send = (file, item) => new Promise((done) => {
    const bar = item.querySelector("progress");
    const said = item.querySelector("span");
    const request = new XMLHttpRequest();
    request.open("POST", "/upload/" + encodeURIComponent(form.querySelector("#source").value) + "/");
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; });
    request.addEventListener("loadend", () => {
      const answer = request.response || {};
      const fine = request.status === 200;
      bar.remove();
      item.classList.add(fine ? "fine" : "refused");
      if (!fine) said.textContent = "✕ " + (answer.message || "The server could not be reached.");
      else {
        const link = document.createElement("a");
        link.href = "/packages/" + encodeURIComponent(answer.project);
        link.textContent = answer.project + " " + answer.version;
        said.replaceChildren(answer.new ? "✓ Published: " : "✓ It was there already: ", link);
      }
      done();
    });
    const body = new FormData();
    body.append(":action", "file_upload");
    body.append("protocol_version", "1");
    body.append("content", file);
    request.send(body);
  });
  const sendAll = async (files) => {
    const waiting = [...files].map((file) => {
      const item = document.createElement("li");
      const name = document.createElement("code");
      name.textContent = file.name;
      const bar = document.createElement("progress");
      bar.setAttribute("aria-label", "How much of " + file.name + " is sent");
      bar.value = 0;
      item.append(name, " ", bar, document.createElement("span"));
      results.append(item);
      return [file, item];
    });
    for (const [file, item] of waiting) await send(file, item);
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); sendAll(field.files); field.value = ""; });
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => { event.preventDefault(); form.classList.remove("over"); sendAll(event.dataTransfer.files); });
}

// A log that grows is followed, until somebody scrolls up to read.
for (const log of document.querySelectorAll("[data-events]")) {
  const events = new EventSource(log.dataset.events);
  const phases = document.querySelector(".phases");
  let line = null;
  let number = log.children.length ? Number(log.lastElementChild.id.slice(1)) : 0;
  const begin = () => {
    number += 1;
    const item = document.createElement("li");
    item.id = "L" + number;
    const anchor = document.createElement("a");
    anchor.href = "#" + item.id;
    anchor.textContent = number;
    anchor.setAttribute("aria-label", "Line " + number);
    line = document.createElement("code");
    item.append(anchor, line);
    log.append(item);
  };
  events.addEventListener("log", (event) => {
    const following = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
    const pieces = JSON.parse(event.data).data.split("\n");
    pieces.forEach((piece, index) => {
      if (index) line = null;
      if (!piece) return;
      if (!line) begin();
      line.textContent += piece;
    });
    if (following) log.scrollTop = log.scrollHeight;
  });
  events.addEventListener("phase", (event) => {
    const item = document.createElement("li");
    item.textContent = JSON.parse(event.data).data;
    phases.append(item);
  });
  events.addEventListener("end", () => { events.close(); location.reload(); });
  log.scrollTop = log.scrollHeight;
}
