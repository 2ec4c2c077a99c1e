// Which sites are shown: by severity, rule, filesystem and text.

const filter = {
  severity: new Set(FINDING),
  rule: new Set(),
  filesystem: new Set(),
  gate: new Set(),
  text: "",
};

/** Whether a site makes a run fail, by what was known and what is excused. */
const gateOf = (site) => (site.suppressed ? "suppressed" : site.known ? "known" : "new");

/** What is tested of a site, by the name of the filter. */
const TESTS = {
  severity: (site) => filter.severity.has(site.severity),
  rule: (site) => filter.rule.size === 0 || !filter.rule.isDisjointFrom(site.rules),
  filesystem: (site) => filter.filesystem.size === 0 || !filter.filesystem.isDisjointFrom(site.filesystems),
  gate: (site) => filter.gate.size === 0 || filter.gate.has(gateOf(site)),
  text: (site) => filter.text.split(/\s+/).every((word) => wordsOf(site).includes(word)),
};

/** The sites that pass all filters, or all but one. */
function sitesThrough(except) {
  const tests = Object.entries(TESTS).filter(([name]) => name !== except && !(name === "text" && filter.text === ""));
  return report.sites.filter((site) => tests.every(([, test]) => test(site)));
}

/** Called when a filter has changed. */
const onFilter = [];

function filterChanged() {
  const sites = sitesThrough();
  showSeverities();
  showFacets();
  for (const listener of onFilter) listener(sites);
}

/** Turns one value of a filter on or off. */
function toggle(name, value) {
  if (!filter[name].delete(value)) filter[name].add(value);
  filterChanged();
}

/** How many sites have each value. */
function tally(sites, valuesOf) {
  const numbers = new Map();
  for (const site of sites) for (const value of valuesOf(site)) numbers.set(value, (numbers.get(value) ?? 0) + 1);
  return numbers;
}

/** A button that turns one value on or off. */
function choice(name, value, label, sites, attributes = {}) {
  const pressed = filter[name].has(value);
  return element(
    "button",
    {
      type: "button",
      "aria-pressed": String(pressed),
      "data-filter": `${name} ${value}`,
      onclick: () => toggle(name, value),
      ...attributes,
    },
    label,
    element("span", { class: "number" }, number(sites)),
  );
}

/** Puts new choices in the place of old ones; the one that had the focus keeps it. */
function replaceChoices(place, ...children) {
  const focused = place.contains(document.activeElement) && document.activeElement.dataset.filter;
  place.replaceChildren(...children);
  if (focused) [...place.querySelectorAll("button")].find((button) => button.dataset.filter === focused)?.focus();
}

function showSeverities() {
  const numbers = tally(sitesThrough("severity"), (site) => [site.severity]);
  const present = tally(report.sites, (site) => [site.severity]);
  replaceChoices(
    byId("severities"),
    ...WORST_FIRST.filter((severity) => present.has(severity)).map((severity) =>
      choice("severity", severity, [element("i", { class: `swatch severity-${severity}` }), severity], numbers.get(severity) ?? 0, {
        title: SEVERITIES[severity],
      }),
    ),
  );
}

/** The filters beside the list; those with one value only are left out, but for the rules. */
const FACETS = [
  { name: "rule", title: "Rule", valuesOf: (site) => site.rules },
  { name: "filesystem", title: "Filesystem", valuesOf: (site) => site.filesystems },
  { name: "gate", title: "New or known", valuesOf: (site) => [gateOf(site)] },
].filter(({ name, valuesOf }) => name === "rule" || tally(report.sites, valuesOf).size > 1);

/** How bad a rule is at its worst, by its name. */
const RULE_RANKS = new Map();
for (const site of report.sites) {
  for (const hazard of site.contexts.flatMap((context) => context.hazards)) {
    const { id } = report.rules[hazard.rule];
    RULE_RANKS.set(id, Math.min(RULE_RANKS.get(id) ?? Infinity, WORST_FIRST.indexOf(hazard.severity)));
  }
}

/** A box for each facet, made once: whether it is open is the reader's choice. */
function makeFacets() {
  const wide = matchMedia("(min-width: 60rem)").matches;
  byId("facets").append(
    ...FACETS.map(({ name, title }) =>
      element("details", { open: wide, class: "facet" }, element("summary", {}, title), element("div", { id: `facet-${name}`, class: "choices" })),
    ),
  );
}

function showFacets() {
  for (const { name, valuesOf } of FACETS) {
    const sites = sitesThrough(name);
    const numbers = tally(sites, valuesOf);
    for (const value of filter[name]) if (!numbers.has(value)) numbers.set(value, 0);
    const rank = (value) => (name === "rule" ? RULE_RANKS.get(value) : 0);
    const swatch = (value) => name === "rule" && element("i", { class: `swatch severity-${WORST_FIRST[rank(value)]}` });
    const values = [...numbers.keys()].sort(
      (a, b) => rank(a) - rank(b) || numbers.get(b) - numbers.get(a) || (a < b ? -1 : 1),
    );
    const all = element(
      "button",
      {
        type: "button",
        class: "all",
        "data-filter": name,
        "aria-pressed": String(filter[name].size === 0),
        onclick: () => {
          filter[name].clear();
          filterChanged();
        },
      },
      "all",
    );
    replaceChoices(byId(`facet-${name}`), all, ...values.map((value) => choice(name, value, element("span", {}, swatch(value), value), numbers.get(value))));
  }
}

let typing;
byId("search").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    filter.text = event.target.value.trim().toLowerCase();
    filterChanged();
  }, 120);
});

/** Searches for `text`, as if it had been typed. */
function searchFor(text) {
  byId("search").value = text;
  filter.text = text.toLowerCase();
  filterChanged();
}
