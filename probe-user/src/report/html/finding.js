// One site in full: what happened, why that is dangerous, the way out, the stack.

/** The counts of a site or context in words. */
function countsInWords(counts) {
  const parts = [];
  const others = counts.non_final ?? 0;
  if (counts.final_puts > 0 || others === 0) {
    parts.push(`${count(counts.final_puts, "final put")}: ${number(counts.evicted)} evicted, ${number(counts.kept)} kept`);
  }
  // An eviction whose return was missed has ended, but has no time.
  const timed = (counts.eviction_histogram ?? []).reduce((sum, bucket) => sum + bucket.count, 0);
  if (timed > 0) {
    const average = duration(counts.eviction_total_ns / timed);
    parts.push(`evictions took ${duration(counts.eviction_longest_ns)} at most, ${average} on average, ${number(counts.slept)} slept`);
  }
  if (counts.in_flight > 0) parts.push(`${number(counts.in_flight)} not ended yet`);
  if (others > 0) parts.push(`${count(others, "put")} not final`);
  return parts.join("; ");
}

const filesystemIn = (example) => `${example.filesystem} on ${example.superblock} (${example.device})`;

/** Labels and texts of a context. */
function contextRows(context) {
  const { example } = context;
  const rows = [];
  if (example) {
    const { work } = example;
    const flags = work?.flags.length ? ` (${work.flags.join(", ")})` : "";
    rows.push(["filesystem", filesystemIn(example)], ["inode", example.inode]);
    if (context.references) rows.push(["i_count", context.references[0]], ["held by", context.references[1]]);
    rows.push(["task", `${example.comm}, process ${example.process}, thread ${example.thread}`]);
    if (work) rows.push(["worker", `${work.function} on workqueue ${work.workqueue}${flags}`]);
    rows.push(["locks", example.locks ?? ""]);
    if (example.stack_left_bytes !== undefined) rows.push(["stack left", `${number(example.stack_left_bytes)} bytes`]);
  } else {
    rows.push(["example", "none was kept"]);
  }
  return rows;
}

const factChips = (names, unknown) =>
  names.map((name) => element("span", { class: unknown ? "fact unknown" : "fact", title: report.meanings[name] }, name));

const paragraph = (heading, ...text) => [element("h4", {}, heading), element("p", {}, ...text)];

const evidenceOf = (hazard) => hazard.evidence.map((index) => report.strings[index]);

/** Why a rule speaks against a call, and the way out. */
function explanation(hazard, rule) {
  return [
    element("ul", { class: "evidence" }, evidenceOf(hazard).map((sentence) => element("li", {}, prose(sentence)))),
    hazard.waits_for !== undefined && element("p", { class: "waits" }, element("b", {}, "Waits for "), prose(report.strings[hazard.waits_for])),
    paragraph("Why", prose(rule.why)),
    rule.says.map(([words, place]) =>
      element("blockquote", {}, element("p", {}, "“", prose(words), "”"), element("footer", {}, prose(place))),
    ),
    element("div", { class: "way-out" }, paragraph(rule.way_out === "Nothing to do." ? "What to do" : "Way out", prose(rule.way_out))),
  ];
}

/** The rules that speak against a context: the worst in full, the others folded. */
function hazardsOf(context) {
  return context.hazards.map((hazard, index) => {
    const rule = report.rules[hazard.rule];
    const id = element("code", { class: "rule" }, rule.id);
    const tags = [
      hazard.known && element("span", { class: "tag", title: "The baseline has it, at least as bad" }, "known"),
      hazard.suppressed && element("span", { class: "tag", title: hazard.suppressed }, "suppressed"),
    ];
    if (index === 0) return element("section", {}, element("h3", {}, rule.title, " ", id, tags), explanation(hazard, rule));
    const label = hazard.if_final ? ["if final ", badge(hazard.if_final)] : badge(hazard.severity);
    return element("details", { class: "hazard" }, element("summary", {}, label, " ", rule.title, " ", id, tags), explanation(hazard, rule));
  });
}

/** The chain of calls, iput's caller first, with places in the source where they are known. */
function stackOf(site) {
  const line = (frame, text, source, inlined) =>
    element("li", { class: frame?.module ? "own" : undefined }, element("code", {}, text), inlined && element("em", {}, " inlined"), source && [" ", sourceLink(source)]);
  const called = new Set(site.contexts.map((context) => context.called).filter(Boolean));
  return element(
    "ol",
    { class: "stack" },
    line(undefined, "iput()"),
    [...called].map((name) => element("li", {}, element("code", {}, name), element("em", {}, " no frame: it ended in a jump"))),
    framesOf(site).map((frame) => [
      (frame.inlined ?? []).map((inlined) => line(frame, inlined.function, inlined.source, true)),
      line(frame, frame.printed, frame.source),
    ]),
    site.truncated && element("li", {}, element("em", {}, "… the kernel's limit may have cut the stack short")),
  );
}

/** A call that does not come back. */
function stuckCall(call) {
  return element(
    "section",
    { class: "stuck" },
    element("h3", {}, `Stuck for ${duration(call.age_ms * 1e6)}`),
    terms([
      ["thread", `${call.comm}, thread ${call.thread}`],
      ["inode", `${call.ino} (${call.device})`],
      ["waits for", call.waits_for ? prose(call.waits_for) : ""],
      ["own lock", call.own_lock ? prose(call.own_lock) : ""],
    ]),
  );
}

/** Where a call hangs. */
function stuckStack(call) {
  return element(
    "div",
    {},
    element("h4", {}, `Where thread ${call.thread} hangs`),
    call.stack.length
      ? element("ol", { class: "stack hanging" }, call.stack.map((line) => element("li", {}, element("code", {}, line.trim()))))
      : element("p", {}, "Its stack could not be read."),
  );
}

/** Further contexts of a site, folded. */
function otherContexts(site) {
  const others = site.contexts.slice(1);
  return (
    others.length > 0 &&
    element(
      "section",
      {},
      element("h4", {}, `Also in ${count(others.length, "other context")}`),
      others.map((context) =>
        element(
          "details",
          { class: "hazard" },
          element("summary", {}, badge(context.severity), " ", context.example ? filesystemIn(context.example) : "no example", ": ", countsInWords(context.counts)),
          contextBody(context, context.counts),
        ),
      ),
    )
  );
}

/** What is known of a context, and what rules say. */
function contextBody(context, counts) {
  const { yes, unknown } = report.fact_sheets[context.facts];
  return element(
    "div",
    { class: "columns" },
    element("div", {}, context.hazards.length ? hazardsOf(context) : element("p", {}, "No rule speaks against it.")),
    terms(
      [
        ["counts", countsInWords(counts)],
        ...contextRows(context),
        ["facts", factChips(yes)],
        ["unknown", factChips(unknown, true)],
      ],
      { class: "context" },
    ),
  );
}

/** A site in full. */
function siteBody(site) {
  const copied = element("span", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(siteAsText(site));
      copied.textContent = "Copied.";
    } catch {
      copied.textContent = "This browser does not let the page copy.";
    }
  };
  const notes = [
    site.suppressed && ["Suppressed: ", prose(site.suppressed)],
    site.seen_in && ["Seen ", `in ${count(site.seen_in.reports, "report")}, on ${site.seen_in.kernels.join(", ")}`],
    site.stuck_left_out > 0 && ["Stuck besides: ", `${count(site.stuck_left_out, "call")}, for less long`],
    site.contexts.length > 1 && ["In all contexts: ", countsInWords(site.counts)],
  ].filter(Boolean);
  return element(
    "div",
    { class: "body" },
    (site.stuck ?? []).map(stuckCall),
    notes.map(([label, text]) => element("p", { class: "sum" }, element("b", {}, label), text)),
    contextBody(site.contexts[0], site.contexts[0].counts ?? site.counts),
    element("div", { class: "stacks" }, element("div", {}, element("h4", {}, "Stack, innermost first"), stackOf(site)), (site.stuck ?? []).map(stuckStack)),
    durationsOf([site]),
    otherContexts(site),
    element(
      "p",
      { class: "actions" },
      element("button", { type: "button", class: "button", onclick: copy }, "Copy as text"),
      element("a", { href: `#${site.id}` }, "Link to this finding"),
      copied,
    ),
  );
}

/** `text` in lines of 72 columns, each after the first indented like it. */
function wrapped(label, text) {
  const lines = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line && line.length + 1 + word.length > 60) {
      lines.push(line);
      line = word;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  lines.push(line);
  return lines.map((part, index) => (index ? " ".repeat(12) : label.padEnd(12)) + part);
}

/** A site as plain text, for a mail or an issue. */
function siteAsText(site) {
  const context = site.contexts[0];
  const { yes, unknown } = report.fact_sheets[context.facts];
  const lines = [`${site.severity.toUpperCase()}: ${titleOf(site)}`, `Linux ${report.release} (${report.machine}), lastref ${report.tool.version}, site ${site.id}`, ""];
  const field = (label, text) => text && lines.push(...wrapped(label, text));
  field("counts", countsInWords(site.counts));
  for (const [label, text] of contextRows(context)) field(label, text);
  field("facts", yes.join(", "));
  field("unknown", unknown.join(", "));
  for (const hazard of context.hazards) {
    const rule = report.rules[hazard.rule];
    lines.push("");
    field(hazard.if_final ? "if final" : "rule", `${hazard.if_final ?? hazard.severity}: ${rule.title} (${rule.id})`);
    field("evidence", evidenceOf(hazard).join(" "));
    field("known", hazard.known ? "the baseline has it, at least as bad" : "");
    field("suppressed", hazard.suppressed);
    field("waits for", hazard.waits_for === undefined ? "" : report.strings[hazard.waits_for]);
    field("why", rule.why);
    field("way out", rule.way_out);
  }
  lines.push("", "iput(), called by");
  for (const frame of framesOf(site)) lines.push(` ${frame.printed}`);
  for (const call of site.stuck ?? []) {
    lines.push("", `stuck for ${duration(call.age_ms * 1e6)}: ${call.comm}, thread ${call.thread}, inode ${call.ino} (${call.device})`);
    for (const frame of call.stack) lines.push(` ${frame.trim()}`);
  }
  return `${lines.join("\n")}\n`;
}
