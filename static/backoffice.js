// One box that checks all boxes of its form.
for (const all of document.querySelectorAll("[data-check-all]")) {
  all.addEventListener("change", () => {
    for (const box of all.form.querySelectorAll("input[name=change]")) box.checked = all.checked;
  });
}

// The admin's markup leaves fields of tables, dates and look-ups without a name for who does not see the page.
const FIELDS = "input:not([type=hidden]):not([type=submit]), select, textarea";
const text = (node) => node?.textContent.replace(/:?\s*$/, "").trim();

function heading(field) {
  const cell = field.closest("td, th");
  const column = cell?.closest("table")?.tHead?.rows[0].cells[cell.cellIndex];
  return text(column?.querySelector(".text a, .text") ?? column);
}

function part(field) {
  // A date alone has its own label.
  if (!field.closest(".datetime")) return "";
  if (field.classList.contains("vDateField")) return "date";
  return field.classList.contains("vTimeField") ? "time" : "";
}

function named(field) {
  const row = text(field.closest(".form-row")?.querySelector("label, legend, .aligned-label"));
  return text(field.labels?.[0]) || heading(field) || row || field.getAttribute("placeholder") || field.name;
}

function name(root) {
  for (const field of root.querySelectorAll(FIELDS)) {
    if (field.closest("td") || part(field) || !text(field.labels?.[0])) {
      if (!field.hasAttribute("aria-label") && !field.hasAttribute("aria-labelledby")) {
        field.setAttribute("aria-label", field.id === "searchbar" ? "Search" : [named(field), part(field)].join(" ").trim());
      }
    }
  }
  for (const choice of root.querySelectorAll(".select2-selection")) {
    const label = named(choice.closest(".select2").previousElementSibling);
    choice.setAttribute("aria-label", label);
    choice.querySelector("[role=textbox]")?.setAttribute("aria-label", label);
  }
  for (const empty of root.querySelectorAll(".tabular thead th")) {
    if (!empty.textContent.trim()) empty.outerHTML = empty.outerHTML.replace(/^<th/, "<td").replace(/th>$/, "td>");
  }
  for (const icon of root.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
}

// What scrolls sideways can be scrolled by the keyboard.
function scrolled() {
  for (const wide of document.querySelectorAll(".inline-group, .results, .wide, pre")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
}

// After the admin's own scripts, which make some of these fields when jQuery calls them, be it after the page has loaded.
addEventListener("load", () => {
  const all = () => name(document);
  window.django?.jQuery ? window.django.jQuery(all) : all();
});
addEventListener("load", scrolled);
addEventListener("resize", scrolled);
document.addEventListener("formset:added", (event) => name(event.target));
