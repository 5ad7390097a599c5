"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const controls = all("details.control");
  const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

  // What each row says is read once: a page may have thousands of them.
  const rows = new Map(controls.map((control) => [
    control,
    all("tbody tr", control).map((row) => ({ row, text: row.textContent.toLowerCase() })),
  ]));

  const apply = () => {
    const words = one("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(all("input.severity").filter((box) => box.checked).map((box) => box.value));
    const onlyWrong = one("problems").checked;
    let shown = 0;
    for (const control of controls) {
      const own = control.dataset.words;
      let hits = 0;
      for (const { row, text } of rows.get(control)) {
        const hit = words.every((word) => own.includes(word) || text.includes(word))
          && (!onlyWrong || row.dataset.status === "alarm" || row.dataset.status === "error");
        row.hidden = !hit;
        hits += hit;
      }
      const fits = hits > 0 || (!onlyWrong && words.every((word) => own.includes(word)));
      control.hidden = !(severities.has(control.dataset.severity) && fits && (!onlyWrong || control.classList.contains("wrong")));
      shown += !control.hidden;
    }
    for (const heading of all("#controls > h2")) {
      let next = heading.nextElementSibling;
      let any = false;
      for (; next && next.tagName !== "H2"; next = next.nextElementSibling) any ||= !next.hidden;
      heading.hidden = !any;
    }
    one("shown").textContent = shown === controls.length ? plural(shown, "control") : `${shown} of ${plural(controls.length, "control")}`;
  };
  one("filter").addEventListener("input", apply);
  all(".filter input[type=checkbox]").forEach((box) => box.addEventListener("change", apply));

  one("open").addEventListener("click", (event) => {
    const open = event.target.textContent === "Open all";
    controls.forEach((control) => { control.open = open; });
    event.target.textContent = open ? "Close all" : "Open all";
  });

  one("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("tidegate-theme", root.dataset.theme); } catch { /* A page opened from a file may not keep things. */ }
  });
  try {
    const theme = localStorage.getItem("tidegate-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch { /* As above. */ }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const code = button.closest(".code").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // A link to a control opens it.
  const follow = () => {
    const target = location.hash && one(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", follow);
  follow();

  addEventListener("beforeprint", () => all("details.control.wrong, .tree > li > details").forEach((part) => { part.open = true; }));
})();
