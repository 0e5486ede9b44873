// All texts of the page, but the one for browsers without JavaScript. To translate the page, translate
// this file and set the language in index.html.

export const language = document.documentElement.lang;

// order compares names as people sort them.
export const order = new Intl.Collator(language, { numeric: true, sensitivity: "base" });

const number = new Intl.NumberFormat(language);
export const count = (n) => number.format(n);
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
const list = (names) => names.length > 1 ? names.slice(0, -1).join(", ") + " and " + names.at(-1) : names[0] ?? "";

// sentence makes a sentence of an error message of the server.
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");

export const t = {
  app: "sluice chat",

  // The login.
  welcome: "Choose a name to enter the chat. There is no account.",
  name: "Name", nameExample: "Ada", room: "Room", enter: "Join the chat", connecting: "Connecting …", cancel: "Cancel",
  password: "Password",
  loggedInElsewhere: "This window is no longer logged in.",
  retryIn: (seconds) => `No connection: trying again in ${seconds} s.`,
  noAnswerRetry: "The chat does not answer: trying again.",

  // The sidebar.
  conversations: "Conversations", rooms: "Rooms", privates: "Private", skip: "Go to the message box", close: "Close",
  joinRoom: "Join or open a room", join: "Join", browse: "Browse rooms",
  noPrivates: "Choose a name in the list of people to talk in private.",
  unreadBelow: (n) => `${count(n)} unread ↓`, unreadAbove: (n) => `${count(n)} unread ↑`,
  unread: (n) => `${count(n)} unread`, mentioned: (n) => plural(n, "mention", "mentions"),
  people: (n) => plural(n, "person", "people"), draft: "unsent text", failed: "not delivered", online: "online",
  muted: "muted",
  sorry: "No connection: try again in a moment.",

  // The menu at the own name.
  menu: ", menu", connected: "Connected", theme: "Theme", themes: { system: "System", light: "Light", dark: "Dark" },
  notify: "Notify me of mentions and private messages",
  notifyRefused: "The browser does not allow notifications for this page.",
  rename: "Change name …", shortcuts: "Keyboard shortcuts", logOut: "Log out",
  setPassword: "Protect the name …", passwordSet: "Your name is protected by the password now.",
  passwordGone: "Your name has no password any more.",
  newPassword: "New password", oldPassword: "Present password, if there is one", save: "Save",
  passwordRules: "A password has at least 8 characters. An empty one removes the protection.",
  loggedOut: "You have logged out.", namePrompt: "Another name", goOn: "Go on",
  renameWhy: "You get another name. Private conversations of before stay with the former name.",
  states: {
    connecting: "connecting", connected: "connected", waiting: (seconds) => `reconnecting in ${seconds} s`,
    offline: "offline",
    closed: "closed", "no answer": "no answer", "no name": "no name",
  },
  reconnecting: "reconnecting",
  down: (state) => `No connection: ${state}. What you write is sent when the connection is back.`,
  lost: "The connection is lost. The page reconnects by itself.", back: "Connected again.",
  replaced: "The chat is open in another window.", useHere: "Use it here",

  // The head of a conversation.
  roomTitle: (room) => "# " + room, titleUnread: (n) => `(${count(n)}) `,
  presence: (away) => away === undefined ? "private" : away ? "private, not here now" : "private, online", more: "More", leave: "Leave the room", hide: "Close the conversation",
  copyLink: "Copy link", search: "Search", peopleInRoom: "People in this room", peopleTitle: "People",
  filter: "Filter people", nobody: "Nobody has such a name.",
  you: "(you)", mute: "Mute", unmute: "Unmute", block: "Block this person", unblock: "Unblock this person",
  left: (title) => `You have left ${title}.`, hidden: (title) => `The conversation with ${title} is closed.`,
  undo: "Undo",
  linkCopied: "The link is in the clipboard.", copied: "Copied.", notCopied: "The browser does not allow that.",

  // Messages.
  messages: "Messages", messagesOf: (title) => `Messages of ${title}`,
  beginning: (title) => `This is the beginning of ${title}.`,
  beginningWith: (name) => `This is the beginning of your conversation with ${name}.`,
  roomEmpty: "Nothing has been said here yet. Everybody can enter.",
  roomKept: "Everybody can enter this room.", privateEmpty: (name) => `Only you and ${name} read this conversation.`,
  nothing: "No conversation is open.", nothingWhat: "Choose a room in the list, or open a new one.",
  notIn: "You are not in this room.", joinThis: (room) => `Join # ${room}`,
  today: "Today", yesterday: "Yesterday", newMessages: (n) => plural(n, "new message", "new messages"),
  newDivider: (n) => plural(n, "new message", "new messages"),
  gap: "The connection was lost. Messages may be missing here.",
  changedOwner: (name) => `This is not the ${name} of before. Somebody else has this name now.`,
  others: (n) => plural(n, "other", "others"), joined: (who) => `${who} joined`, gone: (who) => `${who} left`, list,
  showMore: "Show more", showLess: "Show less", copy: "Copy", copyCode: "Copy the code", quote: "Quote", reply: "Reply",
  react: "React",
  edit: "Edit", delete: "Delete", actions: "Actions for this message", edited: "edited",
  deleted: "This message was deleted.",
  replyTo: (name) => `Reply to ${name}`, editing: "Editing a message", stop: "Cancel",
  reactedBy: (emoji, names) => `${emoji}: ${list(names)}`, loading: "Loading older messages …",
  blockedText: "A message of somebody you have blocked.",
  deleteSure: "Delete this message for everybody?",
  copyLine: (time, name, text) => `[${time}] ${name}: ${text}`,
  typing: (names) => names.length > 2 ? "Several people are typing …" : list(names) +
  (names.length > 1 ? " are typing …" : " is typing …"),
  heard: (name, text) => `${name}: ${text}`,

  // The message box.
  message: "Message", messageTo: (title) => `Message ${title}`, send: "Send",
  hint: "Shift+Enter begins a new line", tooMany: (n) => `${count(n)} too many`,
  ofLimit: (n, limit) => `${count(n)} of ${count(limit)}`,
  tooLong: (limit) => `Too long to send: a message has at most ${count(limit)} characters.`,
  full: (most) => `Not sent: ${most} messages are not delivered yet. Your text stays here.`,
  sendAgain: "Send again", sending: "Sending …", sendingLong: "Sending: the chat takes long to answer …",
  sendingSlow: "Sending: this waits a moment, because you are faster than the chat allows.",
  sendingWaits: "Waiting for the connection.",
  sendingNameless: "Waiting for a name.",
  away: (name) => `${name} is not here now, and gets this later.`,
  undelivered: (why) => `Not delivered: ${why}.`,
  undeliveredIn: (title, why) => `${title}: a message was not delivered: ${why}.`,
  why: {
    silent: "no answer came, so it may have arrived all the same", noAnswer: "the chat does not answer",
    character: "it contains a character that cannot be sent",
    lost: "the connection was lost, so it may have arrived all the same",
    left: "you have left the room", renamed: "your name has changed meanwhile, so it may have arrived all the same",
  },
  arrivedAfterAll: "The message that you took back into the box has arrived after all.",

  // Search, rooms and shortcuts.
  searchIn: "Search in this conversation", searching: "Looking in older messages …",
  found: (i, n) => n === 0 ? "Nothing found" : `${count(i)} of ${count(n)}`,
  previous: "Previous", next: "Next",
  findRoom: "Find or name a room", openNew: (room) => `Open # ${room}`, noRooms: "There are no rooms with such a name.",
  roomsPartial: "This list may not be complete.", joinedAlready: "joined",
  shortcutList: [
    ["Ctrl+K", "Browse rooms, or open a new one"], ["Alt+↑, Alt+↓", "The conversation above or below"],
    ["F6, Shift+F6", "The next or previous part of the page"], ["↑, ↓", "In a list: go through it"],
    ["Enter", "Send the message"], ["Shift+Enter", "Begin a new line"],
    ["↑ in the empty box", "Edit your last message"], ["Ctrl+Shift+F", "Search in this conversation"],
    ["Esc", "Close a menu, a drawer or the search"], ["Ctrl+/", "This list"],
  ],
  mentionedBy: (name, title) => `${name} mentioned you in ${title}`, toldBy: (name) => `${name} to you`,
};

// fill writes the texts of the elements of index.html.
for (const e of document.querySelectorAll("[data-text]")) e.textContent = t[e.dataset.text];
for (const e of document.querySelectorAll("[data-label]")) {
  e.setAttribute("aria-label", t[e.dataset.label]);
  if (e.matches("button")) e.title = t[e.dataset.label];
}
for (const e of document.querySelectorAll("[data-hint]")) e.placeholder = t[e.dataset.hint];
