// What the page shows is in its address, the fragment of the URL, so that a link reproduces it:
// #/module/chat/message?from=-6h. Functions are pure; time is in seconds since 1970.

const known = ["overview", "module", "failures", "live", "alerts"];

export const presets = ["-15m", "-1h", "-6h", "-24h", "-168h", "-336h"];
const unit = { s: 1, m: 60, h: 3600 };

// parse returns {page, module, iface, query}. What is no address of a page is the overview.
export function parse(fragment) {
  const [path, search = ""] = fragment.replace(/^#\/?/, "").split(/\?(.*)/s);
  let words;
  try {
    words = path.split("/").map(decodeURIComponent);
  } catch {
    words = [""];
  } // not a valid encoding
  const page = known.includes(words[0]) ? words[0] : "overview";
  if (page === "module" && !words[1]) return { page: "overview", module: "", iface: "", query: {} };
  return {
    page,
    module: page === "module" ? words[1] : "",
    iface: page === "module" ? (words[2] ?? "") : "",
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

// link returns the fragment of a place. Parts of the query that are empty are left out.
export function link({ page = "overview", module = "", iface = "", query = {} }) {
  let path = page === "overview" ? "" : page;
  if (page === "module") path += "/" + encodeURIComponent(module) + (iface ? "/" + encodeURIComponent(iface) : "");
  const q = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== "" && v !== undefined && v !== null));
  return "#/" + path + (q.size > 0 ? "?" + q : "");
}

// kept returns the part of a query that other pages take over: the time.
export const kept = ({ from, to }) => ({ from, to });

// seconds returns what from or to says: "-1h" or seconds since 1970 or a date of RFC 3339. It
// returns undefined for anything else.
export function seconds(text, now) {
  if (!text) return undefined;
  const relative = /^-(\d{1,7})([smh])$/.exec(text);
  if (relative) return now - Number(relative[1]) * unit[relative[2]];
  if (/^\d{9,11}$/.test(text)) return Number(text);
  const parsed = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) / 1000 : NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

// rangeOf returns the time of a query: {from, to, preset}, the last hour if it has none. preset is
// empty for a fixed time.
export function rangeOf(query, now) {
  const from = seconds(query.from, now),
    to = seconds(query.to, now) ?? now;
  if (from === undefined || from >= to) return { from: now - 3600, to: now, preset: "-1h" };
  const moving = query.from.startsWith("-") && !query.to;
  return { from, to, preset: moving ? query.from : "" };
}

// asked returns the parameters from and to of a request. The gateway's clock counts for a time that
// moves.
export const asked = ({ from, to, preset }) =>
  preset ? { from: preset } : { from: String(Math.floor(from)), to: String(Math.ceil(to)) };

// coarse reports whether the steps of a curve are more than five minutes: the gateway chooses them
// so that there are at most 300.
export const coarse = ({ from, to }) => to - from > 300 * 300;

// trendStep returns the step of a small curve in seconds, or undefined if the gateway's own will do.
export const trendStep = ({ from, to }) => (to - from > 4 * 3600 ? Math.ceil((to - from) / 48 / 300) * 300 : undefined);

// refreshOf returns how long the figures of a time stay as they are, in milliseconds: 0 for ever.
export function refreshOf({ from, to, preset }) {
  if (!preset) return 0;
  return to - from <= 3600 ? 5000 : to - from <= 86400 ? 15000 : 60000;
}
