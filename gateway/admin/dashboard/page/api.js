// Requests to the API of the admin listener, and feeds that ask it again and again.

// Refused is an answer of the gateway that is an error. status is 0 if none came.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  // away: the gateway did not answer, or something in front of it says so.
  get away() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }

  // absent: this version, or this configuration, does not have it.
  get absent() {
    return this.status === 404 || this.status === 501;
  }
}

const patience = 25_000; // milliseconds for an answer
const skewed = 3; // seconds: the gateway tells its time in whole ones

let skew = 0; // seconds that the gateway's clock is ahead

// now returns the time of the gateway's clock, in seconds since 1970.
export const now = () => Date.now() / 1000 + skew;

async function send(path, options, signal) {
  let answer, body;
  try {
    const limit = AbortSignal.timeout(patience);
    answer = await fetch(path, {
      ...options,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    body = await answer.text();
    const ahead = (Date.parse(answer.headers.get("Date")) - Date.now()) / 1000;
    skew = Math.abs(ahead) > skewed ? ahead : 0;
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Refused(0, e.message);
  }
  let value = null;
  try {
    value = body ? JSON.parse(body) : null;
  } catch {} // a proxy's own page
  if (!answer.ok) throw new Refused(answer.status, value?.detail ?? answer.statusText);
  return value;
}

// get asks for a path below /api/v1. Parameters that are empty are left out.
export function get(path, parameters = {}, signal) {
  const q = new URLSearchParams(Object.entries(parameters).filter(([, v]) => v !== "" && v !== undefined));
  return send("api/v1/" + path + (q.size > 0 ? "?" + q : ""), {}, signal);
}

// write changes something. The header keeps out forms of foreign pages.
export function write(method, path, body) {
  return send("api/v1/" + path, {
    method,
    headers: { "Content-Type": "application/json", "X-Sluice-CSRF": "1" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

export const session = () => send("session", {});
export const logIn = (token) =>
  send("login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
export const logOut = () => send("logout", { method: "POST", headers: { "X-Sluice-CSRF": "1" } });

const pauses = [1000, 2000, 4000, 8000, 15000, 30000]; // after so many failures in a row, in milliseconds

// network is what feeds tell about the connection. The page sets its functions.
export const network = { failed: () => {}, worked: () => {}, ended: () => {} };

const feeds = new Set();

// Feed loads something again and again: every so many milliseconds, or once if every is 0; not while
// the page is hidden, and never twice at the same time. After a failure it waits longer each time.
export class Feed {
  constructor(load, every, { show, fail = () => {} }) {
    Object.assign(this, { load, every, show, fail, failures: 0, timer: 0, running: null, due: false, done: false });
    feeds.add(this);
    this.now();
  }

  // now loads at once.
  now() {
    clearTimeout(this.timer);
    if (this.running) this.due = true;
    else if (document.hidden) this.timer = 0;
    else this.run();
  }

  async run() {
    this.running = new AbortController();
    const { signal } = this.running;
    let pause = this.every;
    try {
      const value = await this.load(signal);
      if (signal.aborted) return;
      this.failures = 0;
      network.worked(this);
      this.show(value);
    } catch (e) {
      if (signal.aborted) return;
      if (!(e instanceof Refused)) throw e;
      pause = this.failed(e);
    } finally {
      this.running = null;
    }
    if (this.done) return;
    if (this.due) {
      this.due = false;
      this.now();
    } else if (pause > 0) {
      this.timer = setTimeout(() => this.now(), pause);
    }
  }

  // failed returns how long to wait.
  failed(e) {
    if (e.status === 401) {
      network.ended();
      return 0;
    }
    const pause = pauses[Math.min(this.failures++, pauses.length - 1)];
    if (e.away || e.status === 429) network.failed(this, e, pause);
    else network.worked(this);
    this.fail(e);
    return e.away || e.status === 429 ? pause : Math.max(this.every, e.absent ? 60_000 : 10_000);
  }

  stop() {
    this.done = true;
    clearTimeout(this.timer);
    this.running?.abort();
    feeds.delete(this);
  }
}

// refresh makes all feeds load now.
export function refresh() {
  feeds.forEach((f) => f.now());
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
