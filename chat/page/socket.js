// The connection. It reconnects with exponential backoff and full jitter, and reports its state.

const REPLACED = 4010; // close code: a newer connection has the name
const FIRST = 500, LAST = 15000, PATIENCE = 70000, PING = 25000;

export class Socket extends EventTarget {
  #ws = null;
  #attempt = 0;
  #retry = null;
  #countdown = null;
  #ping = null;
  #silence = null;

  constructor(url) {
    super();
    this.url = url;
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.now(); });
  }

  // open connects. Events: "open", "message" (detail: the document),
  // "state" (detail: {state, seconds}) and "replaced".
  open() {
    this.#drop();
    this.#state("connecting");
    const ws = this.#ws = new WebSocket(this.url);
    ws.onopen = () => {
      this.#attempt = 0;
      this.#state("connected");
      this.#ping = setInterval(() => this.send({ type: "ping" }), PING);
      this.#heard();
      this.dispatchEvent(new Event("open"));
    };
    ws.onmessage = (e) => {
      this.#heard();
      let doc;
      try { doc = JSON.parse(e.data); } catch { return; }
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

  #drop() {
    clearTimeout(this.#retry);
    clearInterval(this.#countdown);
    clearInterval(this.#ping);
    clearTimeout(this.#silence);
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

  // A connection that has been silent for long is dead, even if the browser has not noticed.
  #heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(), PATIENCE);
  }

  #lost() {
    this.#drop();
    const wait = Math.random() * Math.min(LAST, FIRST * 2 ** this.#attempt++);
    const until = Date.now() + wait;
    const show = () => this.#state("waiting", Math.max(1, Math.ceil((until - Date.now()) / 1000)));
    show();
    this.#countdown = setInterval(show, 1000);
    this.#retry = setTimeout(() => { this.#retry = null; this.open(); }, wait);
  }

  #state(state, seconds) {
    if (state !== "waiting") this.#retry = null;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, seconds } }));
  }
}
