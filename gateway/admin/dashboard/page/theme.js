// Before the page is drawn: the theme that was chosen, if it is not the system's.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("sluice.theme");
  } catch {} // the browser stores nothing
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
