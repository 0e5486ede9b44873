// What the page does with each event of the server.

import { key, room as written } from "./conversation.js";
import * as search from "./search.js";
import * as session from "./session.js";
import { OPEN, QUIET, REJOIN, changed, request, socket } from "./session.js";
import { conversation, current, mine, remember, state } from "./state.js";
import * as talk from "./talk.js";
import { sentence, t } from "./texts.js";
import * as view from "./view.js";

export const LEAVE = "leave"; // ref of requests whose refusals are ignored, as those of QUIET

// of returns the conversation that an event names, if there is one.
const of = (e) => state.conversations.get(e.room !== undefined ? key("room", e.room)
  : key("private", e.withUid ?? (mine(e) ? e.toUid : e.uid)));

// confirmed removes a message from the outbox that has been published.
function confirmed(m) {
  if (!m.ref || !mine(m) || !state.outbox.heard(m.ref)) return;
  changed("talk");
}

function said(c, m) {
  if (!m.ref && mine(m)) state.outbox.echoed(c.key, m.text);
  confirmed(m);
  session.add(c, m);
}

// moved handles a person who has joined or left.
function moved(e, change) {
  const c = of(e);
  if (!c || mine(e)) return;
  change(c, e.uid ?? e.name);
  view.mark("lists");
  if (c.key === state.current) view.mark("head", "people", "talk", "typing");
}

// known takes over the conversations that the server has of the user. It returns the rooms among
// them, which the server has joined.
function known(list) {
  const rooms = new Set();
  for (const e of list) {
    const k = e.room !== undefined ? key("room", e.room) : key("private", e.withUid);
    if (state.left.has(k)) {
      request({ type: "leave", room: e.room, ref: LEAVE });
      continue;
    }
    if (e.room !== undefined) rooms.add(e.room);
    else if (state.hidden.get(k) >= e.last && !state.conversations.has(k)) continue;
    const c = e.room !== undefined ? conversation("room", e.room) : conversation("private", e.with, e.withUid);
    c.muted = e.muted === true;
    if (c.loaded && e.last > c.last) c.hole ??= c.last; // the history that follows ends that
    if (c === current() && !document.hidden) c.read = Math.max(c.read, e.last);
    if (c.read > (e.read ?? 0)) session.readSoon(c);
    c.position(e);
  }
  return rooms;
}

const on = {
  welcome(e) {
    const first = !state.entered;
    if (!first && e.uid !== state.uid) state.outbox.renamed();
    state.kept = e.generation !== undefined;
    if (!first && state.generation && e.generation !== state.generation) {
      for (const c of state.conversations.values()) c.renumber();
    }
    state.generation = e.generation ?? "";
    session.welcomed(e);
    state.blocked = new Map(e.blocked?.map(({ uid, name }) => [uid, name]));
    state.due = new Set(first ? session.beginning() : []);
    const joined = known(e.conversations ?? []);
    if (current()?.kind === "room") state.due.add(current().name);
    for (const c of state.conversations.values()) if (c.kind === "room" && !joined.has(c.name)) state.due.add(c.name);
    for (const room of state.due) if (room !== state.opening && joined.has(written(room))) state.due.delete(room);
    session.rejoin();
    request({ type: "rooms", ref: QUIET });
    view.entered(first);
    session.presence();
    view.connection({ state: navigator.onLine ? "connected" : "offline" });
    state.outbox.online();
    changed();
  },
  history(e) {
    if (e.room === undefined) return pageOf(conversation("private", e.with, e.withUid), e);
    const k = key("room", e.room);
    if (state.opening) state.left.delete(k);
    if (state.left.has(k)) return request({ type: "leave", room: e.room, ref: LEAVE });
    const c = conversation("room", e.room);
    c.ready = true;
    state.due.delete(c.name);
    pageOf(c, e);
    if (e.ref === undefined) session.recheck(c);
    remember();
    state.outbox.next();
  },
  users(e) {
    const c = of(e);
    if (!c) return;
    c.set(new Map(e.users?.map((name, i) => [e.uids?.[i] ?? name, name])));
    if (e.ref === OPEN && state.opening || !state.current && !state.absent) {
      search.joined();
      session.arrived(c);
    }
    changed("head", "lists", "people");
  },
  rooms(e) {
    state.counts = new Map((e.rooms ?? []).map((r) => [r.name, r.count]));
    state.partial = e.partial === true;
    view.mark("lists");
    search.rooms();
  },
  joined(e) { moved(e, (c, uid) => c.came(uid, e.name, e.time)); },
  left(e) { moved(e, (c, uid) => c.went(uid, e.name, e.time)); },
  message(e) {
    confirmed(e);
    const c = of(e);
    if (c) said(c, e); // otherwise the user has left the room
  },
  private(e) {
    const [name, uid] = mine(e) ? [e.to, e.toUid] : [e.from, e.uid];
    if (state.blocked.has(uid) && !mine(e)) return;
    const old = state.conversations.has(key("private", uid)), c = conversation("private", name, uid);
    if (!old && state.kept && !c.loaded && e.seq > 1) c.more = true;
    said(c, e);
    c.away = mine(e) && e.away === true;
    view.mark("head");
    if (e.away && c.messages.at(-2)?.text !== t.away(name)) c.note(t.away(name), e.time);
    if (!old) {
      remember();
      view.mark("lists");
    }
  },
  // A message that was sent again had been published before.
  sent(e) {
    const item = state.outbox.heard(e.ref);
    const c = item && state.conversations.get(item.key);
    const { id, seq, time } = e;
    if (c) session.add(c, { from: state.name, uid: state.uid, text: item.text, reply: item.reply, id, seq, time });
    changed("talk");
  },
  changed(e) {
    const c = of(e);
    if (state.outbox.edited(mine(e) && e.ref)) changed();
    if (!c) return;
    c.change({ ...e.message, mine: mine(e.message) });
    if (c.key === state.current) view.mark("talk");
  },
  typing(e) {
    const c = of(e);
    const uid = e.uid ?? e.from;
    if (!c || mine(e) || state.blocked.has(uid)) return;
    c.silent(uid);
    c.typing.set(uid, { name: e.from, timer: setTimeout(() => { c.silent(uid); view.mark("typing"); }, 4000) });
    view.mark("typing");
  },
  // The following ones tell what another window of the user has done.
  self(e) {
    if (e.joined !== undefined) return request({ type: "join", room: e.joined, ref: REJOIN });
    const c = state.conversations.get(key("room", e.left));
    if (!c) return;
    request({ type: "leave", room: c.name, ref: LEAVE });
    state.left.add(c.key);
    session.gone(c);
  },
  read(e) {
    const c = of(e);
    c?.position({ read: e.seq });
    view.mark("lists");
  },
  muted(e) {
    const c = of(e);
    if (c) c.muted = e.on === true;
    view.mark("lists", "head");
  },
  blocks(e) {
    state.blocked = new Map(e.blocked?.map(({ uid, name }) => [uid, name]));
    talk.anew();
    view.mark();
  },
  protected(e) {
    session.hold(e.token);
    view.toast(e.on ? t.passwordSet : t.passwordGone);
  },
  presence(e) {
    const c = state.conversations.get(key("private", e.toUid));
    if (c) c.away = e.away === true;
    view.mark("head");
  },
  pong(e) { if (e.token) session.hold(e.token); },
  // No worker has received the request. The connection stays open.
  "sluice.refused"() {
    if (state.loggedIn) {
      if (!state.outbox.unreceived()) view.toast(t.noAnswer);
      return changed("talk");
    }
    view.waiting(t.noAnswerRetry);
    if (state.entered) view.connection({ state: "no answer" });
    session.loginSoon();
  },
  error(e) {
    if (state.outbox.refused(e)) return changed("talk", "lists");
    if (session.askAgain(e)) return;
    if (e.ref === LEAVE && e.code === "slow_down" && e.room) return void setTimeout(leaveAgain, 1500, e.room);
    if (e.ref === QUIET || e.ref === LEAVE) return;
    if (e.ref === OPEN) return refused(e);
    if (e.ref === REJOIN && e.code === "slow_down") return session.rejoinLater();
    if (state.loggedIn && e.code !== "name_taken") view.toast(sentence(e.text));
    else if (e.code === "slow_down" || e.code === "try_again") {
      view.waiting(sentence(e.text));
      session.loginSoon();
    }
    else session.nameless(e);
  },
};

// pageOf adds a page of the history to a conversation.
function pageOf(c, e) {
  session.answered(e.ref);
  const list = e.messages ?? [];
  for (const m of list) {
    m.mine = mine(m);
    confirmed(m);
  }
  if (e.before) {
    c.asking = false;
    c.older(list);
  } else {
    c.past(list, e.after !== undefined ? e.gap === true : undefined);
    const last = list.at(-1)?.seq ?? 0, more = e.more && e.after !== undefined;
    c.hole = null;
    if (more) c.hole = last;
    if (more || !c.whole(Math.max(last, e.last ?? 0))) session.fill(c);
  }
  if (e.after === undefined) c.more = e.more === true;
  c.loaded = true;
  if (c.key === state.current && !document.hidden) {
    c.findNew();
    c.read = Math.max(c.read, c.last);
    session.readSoon(c);
  }
  changed("lists", "talk");
}

// leaveAgain leaves a room for which that was refused as too fast, unless the user has come back.
function leaveAgain(room) {
  if (state.left.has(key("room", written(room)))) request({ type: "leave", room, ref: LEAVE });
}

// refused handles the refusal of a join that was to show the room.
function refused(e) {
  const room = state.opening;
  if (e.code === "slow_down" && room) return setTimeout(() => { if (state.opening === room) session.join(room); }, 500);
  state.opening = null;
  const c = room && state.conversations.get(key("room", written(room)));
  if (c?.ready) return session.arrived(c); // only the list of people is missing
  if (!search.refused(e.text)) view.joinError(sentence(e.text));
  if (!state.current) view.toast(sentence(e.text));
  changed();
}

socket.addEventListener("message", (e) => on[e.detail.type]?.(e.detail));
