// What the gateway does now, asked for every two seconds for all parts of the page together.

import { Feed, get } from "./api.js";
import { rates } from "./figures.js";

const every = 2000,
  most = 90; // milliseconds; values of a small curve

class Live {
  listeners = new Set();
  last = null; // {status, workers, rates, history, at}
  history = { clients: [], in: [], out: [] };

  start() {
    this.feed ??= new Feed(
      async (signal) => {
        const at = performance.now();
        const status = await get("status", {}, signal);
        const { workers } = await get("workers", {}, signal);
        return { at, status, workers };
      },
      every,
      { show: (now) => this.show(now) },
    );
  }

  show({ at, status, workers }) {
    const before = this.last,
      seconds = before ? (at - before.at) / 1000 : 0;
    const each = rates(before?.status, status, seconds);
    if (each) {
      this.add("in", each.messages_received);
      this.add("out", each.messages_sent);
    }
    this.add("clients", status.clients);
    this.last = { at, status, workers, rates: each, history: this.history };
    this.listeners.forEach((l) => l(this.last));
  }

  add(name, value) {
    const all = this.history[name];
    all.push(value);
    if (all.length > most) all.shift();
  }

  // listen calls a function with what is known, now and each time that it changes. It returns how to
  // end that.
  listen(l) {
    this.listeners.add(l);
    if (this.last) l(this.last);
    return () => this.listeners.delete(l);
  }

  stop() {
    this.feed?.stop();
    this.feed = null;
    this.last = null;
  }
}

export const live = new Live();
