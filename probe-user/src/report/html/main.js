// The page as a whole: the summary, the views and the keys.

const findings = report.sites.filter((site) => FINDING.includes(site.severity));

/** The views, in the order of their tabs, and what each does when it is shown. */
const TABS = {
  findings: () => {},
  flame: () => refreshFlame(),
  time: () => byId("time").sites && showTime(byId("time").sites),
  run: () => {},
};

function selectTab(name) {
  for (const other of Object.keys(TABS)) {
    const selected = other === name;
    byId(other).hidden = !selected;
    byId(`tab-${other}`).setAttribute("aria-selected", String(selected));
    byId(`tab-${other}`).setAttribute("tabindex", selected ? "0" : "-1");
  }
  document.body.dataset.view = name;
  TABS[name]();
}

function tabKey(event) {
  const names = Object.keys(TABS);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const at = names.findIndex((name) => byId(name).hidden === false);
  const name = names[(at + step + names.length) % names.length];
  selectTab(name);
  byId(`tab-${name}`).focus();
  event.preventDefault();
}

function showSummary() {
  const { totals } = report;
  byId("version").textContent = report.tool.version;
  byId("verdict").replaceChildren(
    ...(findings.length ? [`${count(findings.length, "finding")}, the worst is `, badge(findings[0].severity)] : ["No findings"]),
  );
  const started = report.started.replace("T", " ").replace("Z", " UTC");
  byId("subject").textContent = `Linux ${report.release} (${report.machine})${report.host ? ` on ${report.host}` : ""}, from ${started} for ${duration(report.duration_ms * 1e6)}`;
  document.title = `${findings.length ? `${count(findings.length, "finding")}, ${findings[0].severity}` : "No findings"}: lastref on ${report.release}`;
  const tile = (label, value, ...more) =>
    element("div", {}, element("dt", {}, label), element("dd", {}, element("b", {}, number(value))), ...more.map((text) => element("dd", { class: "muted" }, text)));
  const lost = report.losses.length;
  byId("totals").append(
    tile("final puts", totals.final_puts, `${number(totals.benign_final_puts)} of them benign`),
    tile("evictions", totals.evictions, `${number(totals.benign_evictions)} of them benign`),
    ...(report.level === "latent" ? [tile("puts not final", totals.non_final_puts ?? 0, `${number(totals.benign_non_final_puts ?? 0)} of them benign`)] : []),
    tile("stuck now", totals.stuck, totals.stuck ? "calls that do not come back" : "every call came back"),
    element(
      "div",
      { class: report.complete ? undefined : "warning" },
      element("dt", {}, "the picture"),
      element("dd", {}, element("b", {}, report.complete ? "complete" : "incomplete")),
      element("dd", { class: "muted" }, lost ? `${count(lost, "kind")} of loss: see the run` : "nothing was lost"),
    ),
  );
}

/** What must not be overlooked: calls that hang, and what is missing. */
function showNotices() {
  const stuck = report.sites.filter((site) => site.oldest > 0).toSorted((a, b) => b.oldest - a.oldest);
  if (stuck.length) {
    const calls = stuck.slice(0, 3).map((site) => {
      const call = site.stuck.toSorted((a, b) => b.age_ms - a.age_ms)[0];
      return element(
        "li",
        {},
        element("b", {}, `for ${duration(call.age_ms * 1e6)} `),
        element("a", { href: `#${site.id}` }, `${call.comm}, thread ${call.thread}`),
        call.waits_for && [", waiting for ", prose(call.waits_for)],
      );
    });
    const left = report.totals.stuck - calls.length;
    byId("notices").append(
      element(
        "section",
        { class: "notice alarm" },
        element("h2", {}, report.totals.stuck === 1 ? "A call does not come back" : `${number(report.totals.stuck)} calls do not come back`),
        element("ul", {}, calls, left > 0 && element("li", {}, `and ${number(left)} more`)),
      ),
    );
  }
  if (!report.complete) {
    byId("notices").append(
      element(
        "section",
        { class: "notice warning" },
        element("h2", {}, "Incomplete: there may be more than this report shows"),
        element("ul", {}, report.incomplete_because.map((reason) => element("li", {}, reason))),
      ),
    );
  }
}

function showRun() {
  byId("run").append(
    ...(report.merged ? [element("h3", {}, `Merged from ${count(report.merged[0], "report")}`), terms(report.merged[1], { class: "context" })] : []),
    element("h3", {}, "How it was watched"),
    terms(
      report.run.map(([label, text]) => [label, text && prose(text)]),
      { class: "context" },
    ),
    element("h3", {}, "What was lost"),
    report.losses.length ? element("ul", {}, report.losses.map((loss) => element("li", {}, loss))) : element("p", {}, "Nothing."),
    element("h3", {}, "What the severities mean"),
    element("dl", { class: "context legend" }, Object.entries(SEVERITIES).map(([severity, meaning]) => element("div", {}, element("dt", {}, badge(severity)), element("dd", {}, meaning)))),
  );
}

/** What a key without modifiers does, outside of fields. */
const KEYS = {
  "/": () => byId("search").focus(),
  j: () => step(1),
  k: () => step(-1),
};
Object.keys(TABS).forEach((name, index) => {
  KEYS[index + 1] = () => selectTab(name);
  byId(`tab-${name}`).addEventListener("click", () => selectTab(name));
});

document.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || inField || !KEYS[event.key]) return;
  KEYS[event.key]();
  event.preventDefault();
});

const openFromHash = () => openSite(location.hash.slice(1));
window.addEventListener("hashchange", openFromHash);

/** On paper findings are open: what cannot be opened cannot be read. */
window.addEventListener("beforeprint", () => {
  for (const details of byId("list").querySelectorAll("details.finding")) {
    details.fill();
    details.open = true;
  }
});

document.querySelector("[role=tablist]").addEventListener("keydown", tabKey);
showSummary();
showNotices();
showRun();
makeFacets();
makeList();
makeFlame();
if (findings.length === 0) filter.severity = new Set(WORST_FIRST);
filterChanged();
selectTab("findings");
if (!openFromHash() && findings.length === 1) byId(`site-${findings[0].id}`).open = true;

// For whoever measures: when all that is seen at first was there.
window.addEventListener("load", () => {
  byId("list").getBoundingClientRect();
  document.documentElement.dataset.openedAfterMs = Math.round(performance.now());
});
