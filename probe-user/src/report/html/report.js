// The report: the data of the page, and what is read off its sites.

/** Characters that reorder text or hide in it: shown as escapes, lest a name looks like another. */
const DECEPTIVE = /[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

const report = JSON.parse(
  byId("data").textContent.replace(DECEPTIVE, (character) => `\\\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`),
);

/** The severities, worst first, and what they mean. */
const SEVERITIES = {
  deadlock: "the call waits for itself, proved by facts",
  unsafe: "breaks a rule that the kernel states",
  risky: "can go wrong, under conditions that the report names",
  latent: "went well this time: it was not the last put, or a slow one",
  expected: "by design; the report says which design",
  benign: "nothing speaks against it",
};

const WORST_FIRST = Object.keys(SEVERITIES);

/** Those that make a site a finding. */
const FINDING = ["deadlock", "unsafe", "risky", "latent"];

for (const site of report.sites) {
  site.rank = WORST_FIRST.indexOf(site.severity);
  const hazards = site.contexts.flatMap((context) => context.hazards);
  site.rules = new Set(hazards.map((hazard) => report.rules[hazard.rule].id));
  site.filesystems = new Set(site.contexts.map((context) => context.example?.filesystem ?? "not known"));
  site.puts = site.counts.final_puts + (site.counts.non_final ?? 0);
  site.oldest = Math.max(0, ...(site.stuck ?? []).map((call) => call.age_ms));
}

/** The frames of a site, iput's caller first. */
const framesOf = (site) => site.frames.map((index) => report.frames[index]);

/** The function of a frame, or that it has none. */
const functionOf = (frame) => frame.function ?? "(unknown)";

/** The function that stands for a site: the innermost one of a module, else the innermost one. */
function placeOf(site) {
  const frames = framesOf(site);
  return functionOf(frames.find((frame) => frame.module) ?? frames[0] ?? {});
}

/** The worst hazard of a site and its rule, if any rule matched. */
function worstOf(site) {
  const hazard = site.contexts[0]?.hazards[0];
  return hazard && { hazard, rule: report.rules[hazard.rule] };
}

/** What a site is called. */
const titleOf = (site) => worstOf(site)?.rule.title ?? "No rule speaks against it";

/** All of a site that is searched, in small letters. */
function wordsOf(site) {
  if (site.words === undefined) {
    const places = (source) => (source ? `${source.file}:${source.line}` : "");
    const frames = framesOf(site).flatMap((frame) => [
      frame.printed,
      places(frame.source),
      ...(frame.inlined ?? []).flatMap((inlined) => [inlined.function, places(inlined.source)]),
    ]);
    const contexts = site.contexts.flatMap((context) => [
      context.called,
      ...Object.values(context.example ?? {}).map((value) => (typeof value === "object" ? value.function + " " + value.workqueue : value)),
      ...report.fact_sheets[context.facts].yes,
    ]);
    const stuck = (site.stuck ?? []).flatMap((call) => [call.comm, call.ino, ...call.stack]);
    const titles = site.contexts.flatMap((context) => context.hazards.map((hazard) => report.rules[hazard.rule].title));
    site.words = [site.id, ...site.rules, ...titles, ...frames, ...contexts, ...stuck].join("\n").toLowerCase();
  }
  return site.words;
}

/** Where a line of the source is shown, if the report was given such an address. */
function sourceLink({ file, line }) {
  const place = `${file}:${line}`;
  if (!/^https?:\/\//.test(report.source_url ?? "")) return element("span", { class: "source" }, place);
  const path = file.split("/").map(encodeURIComponent).join("/");
  const href = report.source_url.replaceAll("{file}", () => path).replaceAll("{line}", () => String(line));
  return element("a", { class: "source", href, rel: "noreferrer noopener", target: "_blank" }, place);
}
