// Menus are popovers: the browser closes them on Escape and on a click elsewhere.

const GAP = 6; // pixels between a menu and its button

export const isOpen = () => document.querySelector(".menu:popover-open") !== null;

// open shows a menu beside its button, and moves the focus into it.
export function open(menu, opener) {
  menu.showPopover({ source: opener });
  place(menu, opener);
  items(menu)[0]?.focus();
}

export function close(menu) { menu.hidePopover(); }

// button makes a button open a menu.
export function button(opener, menu, opening = () => {}) {
  opener.popoverTargetElement = menu;
  opener.setAttribute("aria-haspopup", "menu");
  menu.addEventListener("beforetoggle", (e) => { if (e.newState === "open") opening(); });
  // The browser would open it too, but its toggle event comes when the menu may have been painted at
  // another place.
  opener.addEventListener("click", (e) => {
    e.preventDefault();
    if (menu.matches(":popover-open")) close(menu);
    else open(menu, opener);
  });
}

const items = (menu) => [...menu.querySelectorAll("button:enabled")].filter((b) => b.checkVisibility());

// place puts a menu below its button, or above it if there is more room.
function place(menu, opener) {
  const at = opener.getBoundingClientRect(), { offsetWidth: width, offsetHeight: height } = menu;
  const below = at.bottom + GAP, fits = below + height < innerHeight;
  menu.style.top = Math.max(GAP, fits ? below : at.top - GAP - height) + "px";
  const right = at.left + width > innerWidth - GAP;
  menu.style.left = Math.max(GAP, Math.min(right ? at.right - width : at.left, innerWidth - width - GAP)) + "px";
}

document.addEventListener("keydown", (e) => {
  const menu = document.activeElement?.closest(".menu:popover-open");
  if (!menu) return;
  const all = items(menu), i = all.indexOf(document.activeElement);
  const to = { ArrowDown: i + 1, ArrowRight: i + 1, ArrowUp: i - 1, ArrowLeft: i - 1, Home: 0, End: -1 }[e.key];
  if (to === undefined) return;
  e.preventDefault();
  all.at(to % all.length)?.focus();
});
