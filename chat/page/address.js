// Each conversation has an address, the fragment of the page's: #/room/lobby, #/with/Bob. So links,
// Back and Forward work, and under any path.

import { key, person, room } from "./conversation.js";

const words = { room: "room", private: "with" };

export const of = ({ kind, name }) => `#/${words[kind]}/${encodeURIComponent(name)}`;

// parse returns {kind, name, key}, or null if the fragment is no address.
export function parse(fragment) {
  const [, word, rest] = /^#\/(room|with)\/([^/]+)$/.exec(fragment) ?? [];
  if (!word) return null;
  try {
    const kind = word === "room" ? "room" : "private", name = decodeURIComponent(rest).trim();
    return name ? { kind, name, key: key(kind, kind === "room" ? room(name) : person(name)) } : null;
  } catch { return null; } // not a valid encoding
}

// An open drawer has an entry of its own in the browser's history, so that Back closes it. When the
// user closes it otherwise, the page goes back by itself; what comes meanwhile waits.
let waiting = null;

function then(f) {
  if (waiting) waiting.push(f);
  else f();
}

function back() {
  waiting = [];
  history.back();
}

// show makes the address that of a conversation. Only if replace is set, it takes the place of the
// present one.
export function show(c, replace = false) {
  then(() => {
    const address = of(c), drawer = Boolean(history.state?.drawer);
    if (location.hash === address && (history.state?.key ?? c.key) === c.key) {
      if (drawer) back();
      else history.replaceState({ key: c.key }, "", address);
      return;
    }
    // The key tells people of the same name apart.
    if (replace || drawer || !parse(location.hash)) history.replaceState({ key: c.key }, "", address);
    else history.pushState({ key: c.key }, "", address);
  });
}

export function drawerOpened() { then(() => history.pushState({ drawer: true }, "")); }

export function drawerClosed() { then(() => { if (history.state?.drawer) back(); }); }

// clear removes the name of a conversation from the address.
export function clear() { then(() => history.replaceState(null, "", location.pathname + location.search)); }

// listen calls arrived when the user has gone to another address, by Back, Forward or a link.
export function listen(arrived) {
  addEventListener("popstate", () => {
    if (waiting) {
      const all = waiting;
      waiting = null;
      all.forEach((f) => f());
    } else {
      arrived(now());
    }
  });
}

// now returns the conversation of the present address, or null.
export function now() {
  const place = parse(location.hash);
  return place && { ...place, key: history.state?.key ?? place.key };
}

if (history.state?.drawer) history.replaceState(null, ""); // of the page before a reload
