// Time: how long evictions took, and which calls do not come back.

/** Adds up the histograms of sites: by lower bound, how many of each severity. */
function histogramOf(sites) {
  const buckets = new Map();
  for (const site of sites) {
    for (const { at_least_us, count: evictions } of site.counts.eviction_histogram ?? []) {
      if (!buckets.has(at_least_us)) buckets.set(at_least_us, new Map());
      const bucket = buckets.get(at_least_us);
      bucket.set(site.severity, (bucket.get(site.severity) ?? 0) + evictions);
    }
  }
  return buckets;
}

/** The lower bound of a bar; a power of two in microseconds needs no tenths. */
const boundOf = (microseconds) => (microseconds < 1000 ? `${microseconds} µs` : duration(microseconds * 1e3).replace(/\.\d/, ""));

const sumOf = (parts) => [...parts.values()].reduce((a, b) => a + b, 0);

/** A bar as high as `share` of the chart, of parts coloured by severity. */
function barOf(parts, share) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("height", `${share * 100}%`);
  for (const severity of WORST_FIRST.filter((name) => parts.get(name) > 0)) {
    const part = element("i", { class: `severity-${severity}` });
    part.style.setProperty("flex-grow", String(parts.get(severity)));
    bar.append(part);
  }
  return element("span", { class: "well" }, bar);
}

/** A bar for each power of two between the shortest and the longest duration. */
function histogram(sites, attributes) {
  const buckets = histogramOf(sites);
  if (buckets.size === 0) return false;
  const bounds = [...buckets.keys()];
  const columns = [];
  for (let bound = Math.min(...bounds); bound <= Math.max(...bounds); bound *= 2) columns.push([bound, buckets.get(bound) ?? new Map()]);
  const most = Math.max(...columns.map(([, parts]) => sumOf(parts)));
  return element(
    "ol",
    { class: "histogram", ...attributes },
    columns.map(([bound, parts]) => {
      const total = sumOf(parts);
      return element(
        "li",
        { title: `${boundOf(bound)} to ${boundOf(bound * 2)}: ${count(total, "eviction")}` },
        barOf(parts, total / most),
        element("span", { class: "bound" }, boundOf(bound)),
        element("span", { class: "value" }, total ? number(total) : ""),
      );
    }),
  );
}

/** The axis of the timeline is marked at so many places. */
const MARKS = 5;

/** Evictions over time, of the severities that are shown: a bar as wide as its time, as high as its rate. */
function timeline() {
  let before = 0;
  const columns = report.timeline.map((moment) => {
    const parts = new Map(Object.entries(moment.evictions).filter(([severity]) => filter.severity.has(severity)));
    const column = { ...moment, from: before, parts, total: sumOf(parts), width: Math.max(1, moment.at_ms - before) };
    before = moment.at_ms;
    return column;
  });
  const highest = Math.max(...columns.map(({ total, width }) => total / width));
  if (columns.length < 2 || highest <= 0) return false;
  const time = (milliseconds) => duration(milliseconds * 1e6).replace(/\.\d/, "");
  const bars = columns.map(({ at_ms, from, parts, total, width, stuck }) => {
    const what = [...parts].map(([severity, evictions]) => `${number(evictions)} ${severity}`).join(", ");
    const title = `${time(from)} to ${time(at_ms)}: ${count(total, "eviction")}${what && ` (${what})`}${stuck ? `, ${count(stuck, "call")} stuck` : ""}`;
    const bar = element("li", { title, class: stuck ? "hanging" : undefined }, barOf(parts, total / width / highest));
    bar.style.setProperty("flex-grow", String(width));
    return bar;
  });
  const marks = Array.from({ length: MARKS }, (_, index) => element("span", {}, index ? time((before * index) / (MARKS - 1)) : "0"));
  return [
    element("ol", { class: "histogram timeline", "aria-label": "Evictions over time, by severity" }, bars),
    element("p", { class: "axis", "aria-hidden": "true" }, marks),
    element("p", { class: "hint" }, "All sites of the severities that are shown, whatever else is filtered", report.totals.stuck > 0 && "; underlined while calls were stuck", "."),
  ];
}

/** The durations of a site's evictions, if there were any. */
function durationsOf(sites) {
  const bars = histogram(sites, { "aria-label": "Evictions by duration" });
  return bars && [element("h4", {}, "Evictions by duration"), bars];
}

/** A table of sites, with a way to each. */
function ranking(caption, sites, label, valueOf) {
  return (
    sites.length > 0 && [
      element("h3", {}, caption),
      element(
        "table",
        { class: "ranking" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, label), element("th", { scope: "col" }, "severity"), element("th", { scope: "col" }, "site"))),
        element(
          "tbody",
          {},
          sites.map((site) =>
            element(
              "tr",
              {},
              element("td", { class: "value" }, valueOf(site)),
              element("td", {}, badge(site.severity)),
              element(
                "td",
                {},
                element("a", { href: `#${site.id}` }, element("code", {}, placeOf(site))),
                element("span", { class: "muted" }, ` ${titleOf(site)}`),
              ),
            ),
          ),
        ),
      ),
    ]
  );
}

/** How many sites a ranking has. */
const RANKED = 10;

const top = (sites, valueOf) =>
  sites
    .filter((site) => valueOf(site) > 0)
    .toSorted((a, b) => valueOf(b) - valueOf(a))
    .slice(0, RANKED);

function showTime(sites) {
  const place = byId("time");
  if (place.hidden) {
    place.sites = sites;
    return;
  }
  place.sites = undefined;
  const bars = histogram(sites, { class: "histogram large", "aria-label": "Evictions by duration and severity" });
  const times = timeline();
  place.replaceChildren(
    ...(times ? [element("h3", {}, "When inodes were evicted"), ...times] : []),
    element("h3", {}, "How long evictions took"),
    bars || element("p", { class: "empty" }, "No eviction that has ended at the sites that are shown."),
    ...[
      ranking("Calls that do not come back", top(sites, (site) => site.oldest), "for", (site) => duration(site.oldest * 1e6)),
      ranking("Longest evictions", top(sites, longest), "took", (site) => duration(longest(site))),
      ranking(
        "Most time in eviction",
        top(sites, (site) => site.counts.eviction_total_ns),
        "in all",
        (site) => duration(site.counts.eviction_total_ns),
      ),
    ]
      .filter(Boolean)
      .flat(),
  );
}

onFilter.push(showTime);
