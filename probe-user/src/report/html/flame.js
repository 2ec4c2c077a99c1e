// The flame graph: how often, and from where, sites put; as wide as often, coloured by the worst
// severity further in. It is made of buttons, so that keys and screen readers can go through it.

/** What the width stands for. */
const MEASURES = {
  final: { title: "final puts", of: (site) => site.counts.final_puts, show: (value) => count(value, "final put") },
  puts: { title: "all puts", of: (site) => site.puts, show: (value) => count(value, "put") },
  evicted: { title: "evictions", of: (site) => site.counts.evicted, show: (value) => count(value, "eviction") },
  time: { title: "time in eviction", of: (site) => site.counts.eviction_total_ns, show: duration },
  sites: { title: "sites", of: () => 1, show: (value) => count(value, "site") },
};

/** Where the graph begins. */
const DIRECTIONS = {
  entry: { title: "from the thread's entry in", root: "all threads", of: (site) => site.frames.toReversed() },
  iput: { title: "from iput() out", root: "iput()", of: (site) => site.frames },
};

/** Height of a row, in pixels. */
const ROW = 20;

/** What is narrower is not drawn, in pixels. */
const NARROWEST = 2;

const flame = { measure: "final", direction: "entry", root: null, top: null, sites: [], stale: true };

/** The tree of calls of `sites`. */
function flameTree(sites) {
  const measure = MEASURES[flame.measure];
  const direction = DIRECTIONS[flame.direction];
  const node = (name, module, parent) => ({ name, module, parent, value: 0, sites: 0, rank: Infinity, children: new Map() });
  const top = node(direction.root, undefined, null);
  const add = (to, site, value) => {
    to.value += value;
    to.sites += 1;
    to.rank = Math.min(to.rank, site.rank);
  };
  for (const site of sites) {
    const value = measure.of(site);
    if (value === 0) continue;
    let at = top;
    add(at, site, value);
    for (const index of direction.of(site)) {
      const frame = report.frames[index];
      const name = functionOf(frame);
      const key = `${name} ${frame.module ?? ""}`;
      if (!at.children.has(key)) at.children.set(key, node(name, frame.module, at));
      at = at.children.get(key);
      add(at, site, value);
    }
  }
  return top;
}

/** The worst first, then the widest. */
const childrenOf = (node) => [...node.children.values()].sort((a, b) => a.rank - b.rank || b.value - a.value);

function drawFlame() {
  if (byId("flame").hidden) {
    flame.stale = true;
    return;
  }
  flame.stale = false;
  const graph = byId("flame-graph");
  const width = graph.clientWidth;
  const { root } = flame;
  const nodes = [];
  const draw = (node, depth, left, share, ancestor) => {
    const button = element(
      "button",
      {
        type: "button",
        role: "treeitem",
        "aria-level": depth + 1,
        "aria-label": `${node.name}, ${MEASURES[flame.measure].show(node.value)}, the worst is ${WORST_FIRST[node.rank]}`,
        tabindex: "-1",
        class: `severity-${WORST_FIRST[node.rank]}${ancestor ? " ancestor" : ""}${isFound(node) ? " found" : ""}`,
      },
      share * width > 22 ? node.name : "",
    );
    button.style.setProperty("left", `${left * 100}%`);
    button.style.setProperty("width", `${share * 100}%`);
    button.style.setProperty("top", `${depth * ROW}px`);
    button.node = node;
    nodes.push(button);
  };
  const inner = (node, depth, left, share) => {
    draw(node, depth, left, share, false);
    let at = left;
    for (const child of childrenOf(node)) {
      const part = (child.value / node.value) * share;
      if (part * width >= NARROWEST) inner(child, depth + 1, at, part);
      at += part;
    }
  };
  if (root.value > 0) {
    const ancestors = [];
    for (let node = root.parent; node; node = node.parent) ancestors.unshift(node);
    ancestors.forEach((node, depth) => draw(node, depth, 0, 1, true));
    inner(root, ancestors.length, 0, 1);
  }
  const depth = Math.max(0, ...nodes.map((button) => Number(button.getAttribute("aria-level"))));
  graph.style.setProperty("height", `${Math.max(1, depth) * ROW}px`);
  graph.replaceChildren(...nodes);
  const start = nodes.find((button) => button.node === root);
  start?.setAttribute("tabindex", "0");
  byId("flame-empty").hidden = root.value > 0;
  byId("flame-reset").disabled = root === flame.top;
  tell(root);
}

const isFound = (node) => filter.text !== "" && node.name.toLowerCase().includes(filter.text);

/** Says what is known of a frame, under the graph. */
function tell(node) {
  if (!node.value) {
    byId("flame-status").replaceChildren();
    return;
  }
  const share = Math.round((node.value / flame.top.value) * 1000) / 10;
  byId("flame-status").replaceChildren(
    badge(WORST_FIRST[node.rank]),
    " ",
    element("code", {}, node.name),
    node.module ? ` [${node.module}]` : "",
    ` ${MEASURES[flame.measure].show(node.value)} (${share} %) of ${count(node.sites, "site")} `,
    node.parent ? element("button", { type: "button", class: "button", onclick: () => showSitesOf(node) }, `Show ${node.sites === 1 ? "it" : "them"}`) : "",
  );
}

/** Shows the sites that a frame is of. */
function showSitesOf(node) {
  searchFor(node.name);
  selectTab("findings");
}

function zoom(node, focus) {
  flame.root = node;
  drawFlame();
  if (focus) [...byId("flame-graph").children].find((button) => button.node === node)?.focus();
}

/** Where an arrow leads to from a frame. */
function neighbour(button, key) {
  const buttons = [...byId("flame-graph").children];
  const { node } = button;
  const siblings = buttons.filter((other) => other.node.parent === node.parent);
  const at = siblings.indexOf(button);
  switch (key) {
    case "ArrowLeft":
      return siblings[at - 1];
    case "ArrowRight":
      return siblings[at + 1];
    case "ArrowUp":
      return buttons.find((other) => other.node === node.parent);
    case "ArrowDown":
      return buttons.find((other) => other.node.parent === node);
    case "Home":
      return buttons[0];
    default:
      return undefined;
  }
}

function flameKey(event) {
  const button = event.target.closest("button");
  if (event.key === "Escape") {
    zoom(flame.top, true);
  } else if (event.key === "Backspace" && flame.root.parent) {
    zoom(flame.root.parent, true);
  } else {
    const to = button && neighbour(button, event.key);
    if (!to) return;
    button.setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  }
  event.preventDefault();
}

/** A choice among a table's entries. */
function selection(label, name, table) {
  const options = Object.entries(table).map(([value, { title }]) => element("option", { value }, title));
  const select = element(
    "select",
    {
      onchange: () => {
        flame[name] = select.value;
        newFlame(flame.sites);
      },
    },
    options,
  );
  return element("label", {}, `${label} `, select);
}

function newFlame(sites) {
  flame.sites = sites;
  flame.stale = true;
  if (!byId("flame").hidden) refreshFlame();
}

/** Draws the graph anew, if the sites have changed since. */
function refreshFlame() {
  if (!flame.stale) return;
  flame.top = flameTree(flame.sites);
  flame.root = flame.top;
  drawFlame();
}

function makeFlame() {
  const graph = element("div", { id: "flame-graph", class: "flame-graph", role: "tree", "aria-label": "Flame graph" });
  graph.addEventListener("click", (event) => event.target.node && zoom(event.target.node, true));
  graph.addEventListener("keydown", flameKey);
  for (const type of ["pointerover", "focusin"]) graph.addEventListener(type, (event) => event.target.node && tell(event.target.node));
  graph.addEventListener("pointerleave", () => tell(flame.root));
  byId("flame").append(
    element(
      "div",
      { class: "controls" },
      selection("Width:", "measure", MEASURES),
      selection("Drawn", "direction", DIRECTIONS),
      element("button", { type: "button", class: "button", id: "flame-reset", onclick: () => zoom(flame.top, true) }, "Whole graph"),
    ),
    element("p", { id: "flame-status", class: "flame-status" }),
    graph,
    element("p", { id: "flame-empty", class: "empty", hidden: true }, "Nothing of this measure at the sites that are shown. Choose another width, or more severities."),
    element("p", { class: "hint" }, "Click or ", element("kbd", {}, "Enter"), " zooms in, ", element("kbd", {}, "Esc"), " out; arrows go from frame to frame. A frame has the colour of the worst site further in."),
  );
  // Another width, not another height: that changes whenever something is drawn.
  let width = 0;
  new ResizeObserver(() => {
    if (!flame.root || graph.clientWidth === width) return;
    width = graph.clientWidth;
    drawFlame();
  }).observe(graph);
  onFilter.push(newFlame);
}
