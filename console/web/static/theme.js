// Light or dark: the system's choice unless this button said otherwise, remembered in this browser.
const KEY = "openloop-theme";
const root = document.documentElement;
const button = document.querySelector(".theme.switch");

const kept = localStorage.getItem(KEY);
if (kept === "light" || kept === "dark") root.dataset.theme = kept;

const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const label = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };

if (button) {
  button.hidden = false;
  label();
  system.addEventListener("change", label);
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem(KEY, root.dataset.theme);
    label();
  });
}

// A hint is shown while its button has the pointer or the focus; Escape hides it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const field of document.querySelectorAll(".field:has(.hint:focus, .hint:hover)")) field.dataset.quiet = "";
});
for (const kind of ["focusout", "pointerout"]) {
  document.addEventListener(kind, (event) => { delete event.target.closest?.(".field")?.dataset.quiet; });
}
