// How figures look. All functions are pure: what they return depends on their arguments and the
// browser's language only.

const numbers = new Map();

function number(digits, significant = false) {
  const key = digits + (significant ? "s" : "");
  if (!numbers.has(key)) {
    numbers.set(
      key,
      new Intl.NumberFormat(
        "en",
        significant
          ? { maximumSignificantDigits: digits }
          : { minimumFractionDigits: digits, maximumFractionDigits: digits },
      ),
    );
  }
  return numbers.get(key);
}

// whole returns a count: 1,204. Large ones are short: 1.24M.
export function whole(n) {
  if (n >= 1e9) return number(3, true).format(n / 1e9) + "G";
  if (n >= 1e7) return number(3, true).format(n / 1e6) + "M";
  return number(0).format(n);
}

// rate returns events a second with three digits, never 0 for something.
export function rate(n) {
  if (n === 0) return "0";
  if (n < 0.001) return "<0.001";
  if (n >= 1e6) return number(3, true).format(n / 1e6) + "M";
  if (n >= 1e5) return number(3, true).format(n / 1e3) + "k";
  return n >= 100 ? number(0).format(n) : number(3, true).format(n);
}

// share returns success of count in percent. It rounds down, so that 100 % means all.
export function share(success, count) {
  if (count === 0) return "–";
  if (success >= count) return "100 %";
  const percent = (100 * success) / count;
  const digits = percent >= 99.9 ? 3 : percent >= 10 ? 2 : 1;
  return number(digits).format(Math.floor(percent * 10 ** digits + 1e-9) / 10 ** digits) + " %";
}

// duration returns seconds with three digits and a unit: 820 µs, 1.24 ms, 2 min 5 s.
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds === 0) return "0";
  if (seconds < 0.9995e-3) return number(3, true).format(seconds * 1e6) + " µs";
  if (seconds < 0.9995) return number(3, true).format(seconds * 1e3) + " ms";
  if (seconds < 120) return number(3, true).format(seconds) + " s";
  return uptime(seconds);
}

// uptime returns seconds in the two largest units: 3 d 4 h.
export function uptime(seconds) {
  let rest = Math.floor(seconds);
  const parts = [];
  for (const [unit, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0 || (unit === "s" && parts.length === 0)) parts.push(`${number(0).format(n)} ${unit}`);
    else if (parts.length === 1) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

// bytes returns a size: 512 B, 1.5 KiB.
export function bytes(n) {
  let unit = 0;
  while (n >= 1024 && unit < 4) {
    n /= 1024;
    unit++;
  }
  return (
    number(3, true).format(unit === 0 ? n : n >= 100 ? Math.round(n) : n) +
    " " +
    ["B", "KiB", "MiB", "GiB", "TiB"][unit]
  );
}

// level returns the band of a share of successful calls: the original's 99.99, 99 and 98 percent.
export function level(success, count) {
  if (count === 0) return "none";
  const percent = (100 * success) / count;
  if (percent >= 99.99) return "good";
  if (percent >= 99) return "fair";
  return percent >= 98 ? "poor" : "bad";
}

// hint returns a text with at most so many characters.
export const cut = (text, most) => ([...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text);

const times = new Map();

function time(options) {
  const key = JSON.stringify(options);
  if (!times.has(key)) times.set(key, new Intl.DateTimeFormat(undefined, options));
  return times.get(key);
}

const hm = { hour: "numeric", minute: "2-digit" },
  day = { month: "short", day: "numeric" };

// clock returns the time of day of a moment in milliseconds, and day and moment more of it.
export const clock = (ms) => time(hm).format(ms);
export const seconds = (ms) => time({ ...hm, second: "2-digit" }).format(ms);
export const date = (ms) => time(day).format(ms);
export const moment = (ms) => time({ ...day, ...hm }).format(ms);
export const precise = (ms) => time({ ...day, ...hm, second: "2-digit", fractionalSecondDigits: 3 }).format(ms);
export const full = (ms) => time({ dateStyle: "full", timeStyle: "long" }).format(ms);

// span returns two moments in milliseconds as a text, without what they share.
export function span(from, to) {
  const same = new Date(from).toDateString() === new Date(to).toDateString();
  return `${moment(from)} – ${same ? clock(to) : moment(to)}`;
}

// zone returns the name of the browser's time zone and its offset: Europe/Berlin (GMT+1).
export function zone(ms) {
  const offset = time({ timeZoneName: "shortOffset" })
    .formatToParts(ms)
    .find((p) => p.type === "timeZoneName")?.value;
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name === offset || name === "UTC" ? name : `${name} (${offset})`;
}

// ago returns how long ago a moment is, in one unit: 5 min.
export function ago(ms, now) {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}
