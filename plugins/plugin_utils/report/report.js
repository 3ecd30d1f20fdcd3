"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector) => document.querySelector(selector);
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  root.classList.add("scripted");

  // Time: how long ago, and the reader's own clock beside UTC.
  const finished = one(".when time");
  const ago = one(".when .ago");
  const moment = new Date(finished.dateTime);
  const STEPS = [[86400, "day"], [3600, "hour"], [60, "minute"]];
  const tell = () => {
    const seconds = (Date.now() - moment.getTime()) / 1000;
    const step = STEPS.find(([size]) => Math.abs(seconds) >= size);
    ago.textContent = step
      ? new Intl.RelativeTimeFormat("en").format(-Math.trunc(seconds / step[0]), step[1])
      : "just now";
    ago.classList.toggle("old", seconds >= 86400);
  };
  tell();
  setInterval(tell, 30000);
  if (moment.getTimezoneOffset() !== 0) {
    const own = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    finished.append(` (${own} your time)`);
  }

  // Theme. A file opened from a disk may have no storage.
  const THEMES = ["auto", "light", "dark"];
  const themeButton = one("#theme");
  const storage = (action) => { try { return action(window.localStorage); } catch (_refused) { return null; } };
  const wear = (theme) => {
    if (theme === "auto") { delete root.dataset.theme; } else { root.dataset.theme = theme; }
    themeButton.textContent = `Theme: ${theme}`;
  };
  let theme = storage((store) => store.getItem("day2-theme"));
  if (!THEMES.includes(theme)) { theme = "auto"; }
  wear(theme);
  themeButton.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    wear(theme);
    storage((store) => store.setItem("day2-theme", theme));
  });

  // Filter. The rows are read once, when the first filter is set: there may be 50,000.
  const form = one(".filter");
  const buttons = all("[data-status]", form);
  const hostInput = one("#host");
  const textInput = one("#text");
  const hosts = all(".host").map((element) => ({
    element,
    name: element.querySelector("h3").textContent.toLowerCase(),
    open: element.open,
    rows: null,
  }));
  const total = buttons.reduce((sum, button) => sum + parseInt(button.textContent, 10), 0);
  const rowsOf = (host) => {
    host.rows ||= all(".row", host.element).map((element) => ({
      element,
      status: element.classList[1],
      text: null,
    }));
    return host.rows;
  };
  const has = (row, words) => {
    row.text ||= row.element.textContent.toLowerCase();
    return words.every((word) => row.text.includes(word));
  };

  let filtered = false;
  const apply = () => {
    const statuses = buttons.filter((button) => button.getAttribute("aria-pressed") === "true")
      .map((button) => button.dataset.status);
    const name = hostInput ? hostInput.value.trim().toLowerCase() : "";
    const words = textInput.value.toLowerCase().split(/\s+/).filter(Boolean);
    const active = statuses.length > 0 || name !== "" || words.length > 0;
    const exact = hosts.some((host) => host.name === name);
    let shown = 0;
    for (const host of hosts) {
      const named = exact ? host.name === name : host.name.includes(name);
      let matches = 0;
      if (named) {
        for (const row of rowsOf(host)) {
          const match = (statuses.length === 0 || statuses.includes(row.status)) && has(row, words);
          if (row.element.hidden === match) { row.element.hidden = !match; }
          if (match) { matches += 1; }
        }
      }
      if (active && !filtered) { host.open = host.element.open; }
      host.element.hidden = active && matches === 0;
      host.element.open = active ? matches > 0 : host.open;
      shown += matches;
    }
    filtered = active;
    one("#count").textContent = active ? `${shown} of ${total} checks` : `${total} checks`;
    one("#nothing").hidden = !active || shown > 0;
    one("#clear").hidden = !active;
  };
  one("#count").textContent = `${total} checks`;

  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); };
  form.addEventListener("input", soon);
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  form.addEventListener("reset", () => {
    buttons.forEach((button) => button.setAttribute("aria-pressed", "false"));
    soon();
  });
  buttons.forEach((button) => button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    apply();
  }));
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      textInput.focus();
    } else if (event.key === "Escape" && typing) {
      form.reset();
      event.target.blur();
    }
  });

  // A link leads to a host or a check that may be folded or filtered away.
  const reveal = () => {
    const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    if (!target || !target.matches(".host, .row")) { return; }
    const host = target.closest(".host");
    if (target.hidden || host.hidden) { form.reset(); clearTimeout(waiting); apply(); }
    host.open = true;
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView({ block: "start" });
  };
  window.addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    // The same link a second time changes no hash.
    const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
    if (link && link.hash === location.hash) { reveal(); }
  });
  reveal();

  // Paper cannot be unfolded. Browsers that know ::details-content do it in the style sheet.
  if (!(window.CSS && CSS.supports("selector(::details-content)"))) {
    let opened = [];
    window.addEventListener("beforeprint", () => {
      opened = all(".host:not([open]), .row:is(.critical, .unknown, .warning):not([open])");
      opened.forEach((element) => { element.open = true; });
    });
    window.addEventListener("afterprint", () => {
      opened.forEach((element) => { element.open = false; });
      opened = [];
    });
  }
})();
