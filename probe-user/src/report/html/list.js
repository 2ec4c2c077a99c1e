// The list of sites: a line each, in full when it is opened.

/** How many lines are made at once. */
const CHUNK = 40;

/** How many functions of a chain are named in a line. */
const LINE_FRAMES = 5;

const longest = (site) => site.counts.eviction_longest_ns;

/** The orders, the report's own first. */
const ORDERS = {
  severity: { title: "severity", compare: null },
  puts: { title: "number of puts", compare: (a, b) => b.puts - a.puts },
  longest: { title: "longest eviction", compare: (a, b) => longest(b) - longest(a) },
  total: { title: "time in eviction", compare: (a, b) => b.counts.eviction_total_ns - a.counts.eviction_total_ns },
  stuck: { title: "stuck for longest", compare: (a, b) => b.oldest - a.oldest },
};

let ordered = [];
let made = 0;

/** A site in a line. */
function summaryOf(site) {
  const frames = framesOf(site).slice(0, LINE_FRAMES);
  const chain = frames.flatMap((frame, index) => [
    index > 0 && element("span", { class: "from" }, " ← "),
    element("span", { class: frame.module ? "own" : undefined }, functionOf(frame)),
  ]);
  const tags = [
    site.oldest > 0 && element("span", { class: "tag alarm" }, `stuck for ${duration(site.oldest * 1e6)}`),
    site.known && element("span", { class: "tag", title: "The baseline has it, at least as bad" }, "known"),
    site.suppressed && element("span", { class: "tag", title: site.suppressed }, "suppressed"),
    [...site.filesystems].map((name) => element("span", { class: "tag" }, name)),
  ];
  const others = site.counts.non_final ?? 0;
  const numbers = others > 0 && site.counts.final_puts === 0 ? [number(others), others === 1 ? "put, not final" : "puts, not final"] : [number(site.counts.final_puts), site.counts.final_puts === 1 ? "final put" : "final puts"];
  return element(
    "summary",
    {},
    badge(site.severity),
    element("span", { class: "title" }, titleOf(site), " ", tags),
    element("span", { class: "chain" }, chain, site.frames.length > LINE_FRAMES && element("span", { class: "from" }, " ← …")),
    element("span", { class: "puts" }, element("b", {}, numbers[0]), " ", numbers[1]),
  );
}

/** A site of the list. */
function item(site) {
  const details = element("details", { id: `site-${site.id}`, class: `finding severity-${site.severity}` }, summaryOf(site));
  const fill = () => details.children.length === 1 && details.append(siteBody(site));
  details.addEventListener("toggle", () => details.open && fill());
  details.fill = fill;
  return element("li", {}, details);
}

/** Makes the next lines. */
function showMore() {
  const next = ordered.slice(made, made + CHUNK);
  made += next.length;
  byId("list").append(...next.map(item));
  byId("more").hidden = made >= ordered.length;
}

function showList(sites) {
  const { compare } = ORDERS[byId("order").value];
  ordered = compare ? sites.toSorted(compare) : sites;
  made = 0;
  byId("list").replaceChildren();
  byId("status").textContent =
    sites.length === report.sites.length ? count(sites.length, "site") : `${number(sites.length)} of ${count(report.sites.length, "site")}`;
  showMore();
  if (sites.length === 0) {
    byId("list").append(element("li", { class: "empty" }, report.sites.length ? "No site passes these filters." : "Nothing was found."));
  }
}

/** Opens the site with that id and goes to it; false if there is none. */
function openSite(id) {
  const site = report.sites.find((candidate) => candidate.id === id);
  if (!site) return false;
  if (!ordered.includes(site)) {
    filter.severity.add(site.severity);
    for (const { name } of FACETS) filter[name].clear();
    searchFor("");
  }
  while (!byId(`site-${id}`) && made < ordered.length) showMore();
  selectTab("findings");
  const details = byId(`site-${id}`);
  details.open = true;
  details.fill();
  details.scrollIntoView({ block: "start" });
  details.querySelector("summary").focus({ preventScroll: true });
  return true;
}

/** Moves the focus to the next or previous line. */
function step(by) {
  const summaries = [...byId("list").querySelectorAll("li > details > summary")];
  const at = summaries.indexOf(document.activeElement?.closest("li > details.finding")?.firstElementChild);
  const to = at < 0 ? 0 : at + by;
  if (to >= summaries.length) showMore();
  byId("list").querySelectorAll("li > details > summary")[to]?.focus();
}

function makeList() {
  byId("order").append(...Object.entries(ORDERS).map(([value, { title }]) => element("option", { value }, title)));
  byId("order").addEventListener("change", () => showList(sitesThrough()));
  byId("more").addEventListener("click", showMore);
  new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && showMore(), { rootMargin: "600px" }).observe(byId("more"));
  onFilter.push(showList);
}
