// One box that checks all boxes of its form.
for (const all of document.querySelectorAll("[data-check-all]")) {
  all.addEventListener("change", () => {
    for (const box of all.form.querySelectorAll("input[name=change]")) box.checked = all.checked;
  });
}
