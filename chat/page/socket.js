// The connection. It reconnects with exponential backoff and full jitter, and reports its state.

const REPLACED = 4010; // close code: a newer connection has the name
const FIRST = 500, LAST = 15000;       // ms, of the backoff
const OPEN = 10000;                    // ms until a connection must be open
const PING = 25000, PATIENCE = 20000;  // ms between pings, and until an answer: a gateway may queue a request for 10 s
const IMPATIENCE = 6000;               // ms until an answer while something is unanswered
const END = 5000;                      // ms for which a connection waits for the server to close it
const ALIVE = "alive";                 // ref of pings

export class Socket extends EventTarget {
  #ws = null;
  #attempt = 0;
  #retry = null;
  #timers = [];    // of the present attempt or connection
  #deadline = null; // timer until the answer to a ping

  constructor(url) {
    super();
    this.url = url;
    addEventListener("online", () => { this.now(); this.check(); this.#tell(); });
    addEventListener("offline", () => { this.check(); this.#tell(); });
    // A browser may keep a page that the user has left, for Back, and its connection with it.
    let left = false;
    addEventListener("pagehide", () => {
      left = this.#ws !== null || this.#retry !== null;
      this.#drop();
    });
    addEventListener("pageshow", (e) => { if (e.persisted && left) this.open(); });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) { this.now(); this.check(); } });
  }

  // open connects. Events: "open", "message" (detail: the document),
  // "state" (detail: {state, seconds}) and "replaced".
  open() {
    this.#drop();
    this.#state("connecting");
    const ws = this.#ws = new WebSocket(this.url);
    this.#timers.push(setTimeout(() => { if (!this.connected) this.#lost(); }, OPEN));
    ws.onopen = () => {
      this.#tell();
      this.#timers.push(setInterval(() => this.check(PATIENCE), PING));
      this.dispatchEvent(new Event("open"));
      this.check(PATIENCE);
    };
    ws.onmessage = (e) => {
      if (ws !== this.#ws) return;
      this.#attempt = 0;
      let doc;
      try { doc = JSON.parse(e.data); } catch { return; }
      if (doc.ref === ALIVE || doc.type === "sluice.refused") this.#answered();
      this.dispatchEvent(new CustomEvent("message", { detail: doc }));
    };
    ws.onclose = (e) => {
      if (ws !== this.#ws) return;
      if (e.code !== REPLACED) return this.#lost();
      this.close(); // reconnecting would close the newer connection
      this.dispatchEvent(new Event("replaced"));
    };
  }

  // close closes the connection and does not reconnect.
  close() {
    this.#drop();
    this.#state("closed");
  }

  // end sends a last request, after which the server closes the connection.
  end(doc) {
    const ws = this.#ws;
    if (!this.send(doc)) return;
    this.#ws = null;
    setTimeout(() => ws.close(), END);
  }

  #drop() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#timers.forEach(clearTimeout);
    this.#timers = [];
    this.#answered();
    const ws = this.#ws;
    this.#ws = null;
    ws?.close();
  }

  // now connects at once instead of waiting for the backoff.
  now() {
    if (this.#retry !== null) this.open();
  }

  get connected() { return this.#ws?.readyState === WebSocket.OPEN; }

  send(doc) {
    if (!this.connected) return false;
    this.#ws.send(JSON.stringify(doc));
    return true;
  }

  // check sends a ping. Without an answer the connection is dead, even if the browser has not
  // noticed.
  check(patience = IMPATIENCE) {
    const due = Date.now() + patience;
    if (this.#deadline !== null && this.due <= due) return;
    if (!this.send({ type: "ping", ref: ALIVE })) return;
    clearTimeout(this.#deadline);
    this.due = due;
    this.#deadline = setTimeout(() => this.#lost(), patience);
  }

  #answered() {
    clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  #lost() {
    this.#drop();
    const wait = Math.random() * Math.min(LAST, FIRST * 2 ** this.#attempt++);
    const until = Date.now() + wait;
    const show = () => this.#state("waiting", Math.max(1, Math.ceil((until - Date.now()) / 1000)));
    this.#timers.push(setInterval(show, 1000));
    this.#retry = setTimeout(() => this.open(), wait);
    show();
  }

  // The browser may know that there is no network before the connection has ended.
  #tell() {
    if (this.connected) this.#state(navigator.onLine ? "connected" : "offline");
  }

  #state(state, seconds) { this.dispatchEvent(new CustomEvent("state", { detail: { state, seconds } })); }
}
