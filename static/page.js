// Small comforts of every page; each works without them.
(() => {
  // On a phone the navigation is wider than its window: where one is comes into view.
  for (const here of document.querySelectorAll("nav a[aria-current=page]")) {
    const nav = here.closest("nav");
    nav.scrollLeft += here.getBoundingClientRect().right + 16 - nav.getBoundingClientRect().right;
  }
  // A menu closes when something else is wanted.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  // data-copy names the element whose text goes to the clipboard.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const shown = document.querySelector(button.dataset.copy);
    // Without TLS browsers lend no clipboard: the text is selected, to be copied by hand.
    if (!navigator.clipboard) return getSelection().selectAllChildren(shown);
    await navigator.clipboard.writeText(shown.textContent.trim());
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  });
  // Tabs, by click and by arrow keys.
  const choose = (tab) => {
    const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
    for (const one of tabs) {
      one.setAttribute("aria-selected", one === tab);
      one.tabIndex = one === tab ? 0 : -1;
      document.getElementById(one.getAttribute("aria-controls")).hidden = one !== tab;
    }
    tab.focus();
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!tab || !step) return;
    const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
    choose(tabs.at((tabs.indexOf(tab) + step) % tabs.length));
  });
  // A key that was just made stands in the code beside it.
  document.addEventListener("htmx:afterSwap", () => {
    const token = document.getElementById("quick-token")?.textContent;
    if (!token) return;
    for (const code of document.querySelectorAll("[data-tabs] pre")) {
      code.textContent = code.textContent
        .replace("$TURNPIKE_API_KEY", token)
        .replace('os.environ["TURNPIKE_API_KEY"]', `"${token}"`)
        .replace("process.env.TURNPIKE_API_KEY", `"${token}"`);
    }
  });
  // allauth's scripts tell so when a browser gives no passkey, or its user thinks better of it.
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    document.getElementById("passkey-problem").textContent = "No passkey was used. Try again, or use another way.";
  });
})();
