// Building the page: elements, and numbers as people read them.

/** The element with that id. */
const byId = (id) => document.getElementById(id);

/** An element. Its children are elements, texts or nothing, never markup. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** What reads as code in a sentence: `quoted`, function(), a file's path, I_SYNC. */
const CODE = /`([^`]+)`|\b[A-Za-z_]\w*\([^()]*\)|->\w+\(\)|\b(?:[\w.-]+\/)+[\w.-]+\.(?:c|h|rst|S)\b|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b/g;

/** A sentence, its code marked as such. */
function prose(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(CODE)) {
    parts.push(text.slice(end, match.index), element("code", {}, match[1] ?? match[0]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

const GROUPED = new Intl.NumberFormat("en-GB");

/** 1,234,567 */
const number = (value) => GROUPED.format(value);

/** 1 eviction, 3 evictions, 2 dentries */
function count(value, noun) {
  if (value === 1) return `1 ${noun}`;
  return `${number(value)} ${noun.endsWith("y") ? `${noun.slice(0, -1)}ie` : noun}s`;
}

/** Units of time, and from how many nanoseconds on they are used. */
const UNITS = [
  [1, "ns"],
  [1e3, "µs"],
  [1e6, "ms"],
  [1e9, "s"],
];

/** 850 ns, 12.5 µs, 3 ms, 5 min 3 s, 6 h 12 min */
function duration(nanoseconds) {
  const seconds = nanoseconds / 1e9;
  const parts = (large, unit, small, smallUnit) => (small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`);
  if (seconds >= 3600) return parts(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
  if (seconds >= 60) return parts(Math.floor(seconds / 60), "min", Math.floor(seconds % 60), "s");
  const [size, unit] = UNITS.findLast(([from]) => nanoseconds >= from) ?? UNITS[0];
  return `${Math.floor((nanoseconds / size) * 10) / 10} ${unit}`;
}

/** Labels and what is said of each, as a list of terms; those without a text are left out. */
function terms(rows, attributes = {}) {
  const filled = rows.filter(([, value]) => (Array.isArray(value) ? value.length : value));
  return element(
    "dl",
    attributes,
    filled.map(([label, value]) => element("div", {}, element("dt", {}, label), element("dd", {}, value))),
  );
}

/** The badge of a severity. */
const badge = (severity) => element("span", { class: `badge severity-${severity}` }, severity);
