// Notifications of the browser for mentions and private messages, if the user wants them.

const setting = "sluice.notify";
const LONGEST = 200; // characters of a message in a notification

export const possible = () => "Notification" in window;

export const wanted = () => possible() && localStorage.getItem(setting) === "yes" &&
  Notification.permission === "granted";

// want turns notifications on or off. It returns null if the browser does not allow them.
export async function want(on) {
  if (!on) {
    localStorage.removeItem(setting);
    return false;
  }
  if (await Notification.requestPermission() !== "granted") return null;
  localStorage.setItem(setting, "yes");
  return true;
}

// tell shows a notification. A click on it opens what it is about.
export function tell({ title, text, tag, open }) {
  if (!wanted()) return;
  let n;
  try {
    n = new Notification(title, { body: [...text].slice(0, LONGEST).join(""), tag });
  } catch { return; } // a browser on a phone that wants a service worker
  n.onclick = () => {
    window.focus();
    n.close();
    open();
  };
}
