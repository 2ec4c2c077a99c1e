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

/** A bar for each power of two between the shortest and the longest. */
function histogram(sites, attributes) {
  const buckets = histogramOf(sites);
  if (buckets.size === 0) return false;
  const bounds = [...buckets.keys()];
  const columns = [];
  for (let bound = Math.min(...bounds); bound <= Math.max(...bounds); bound *= 2) columns.push(bound);
  const sum = (bucket) => [...(bucket?.values() ?? [])].reduce((a, b) => a + b, 0);
  const most = Math.max(...columns.map((bound) => sum(buckets.get(bound))));
  return element(
    "ol",
    { class: "histogram", ...attributes },
    columns.map((bound) => {
      const bucket = buckets.get(bound);
      const total = sum(bucket);
      const bar = element("span", { class: "bar" });
      bar.style.setProperty("height", `${(total / most) * 100}%`);
      for (const severity of WORST_FIRST.filter((name) => bucket?.has(name))) {
        const part = element("i", { class: `severity-${severity}` });
        part.style.setProperty("flex-grow", String(bucket.get(severity)));
        bar.append(part);
      }
      const range = `${boundOf(bound)} to ${boundOf(bound * 2)}`;
      return element(
        "li",
        { title: `${range}: ${count(total, "eviction")}` },
        element("span", { class: "well" }, bar),
        element("span", { class: "bound" }, boundOf(bound)),
        element("span", { class: "value" }, total ? number(total) : ""),
      );
    }),
  );
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
                element("a", { href: `#${site.id}` }, element("code", {}, functionOf(framesOf(site)[0] ?? {}))),
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
  place.replaceChildren(
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
