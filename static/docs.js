// Swagger UI is dark by a class; and leaves without a name what is around its list of paths.
const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", dress);
dress();

const REGIONS = { ".information-container": "About", ".scheme-container": "Server and key" };
new MutationObserver(() => {
  for (const [place, label] of Object.entries(REGIONS)) {
    for (const found of document.querySelectorAll(`${place}:not([role])`)) {
      found.setAttribute("role", "region");
      found.setAttribute("aria-label", label);
    }
  }
  for (const select of document.querySelectorAll(".servers select:not([aria-label])")) select.setAttribute("aria-label", "Server");
}).observe(document.documentElement, { childList: true, subtree: true });
