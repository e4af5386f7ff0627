// The pages work without this script. It follows the event stream, and has the parts of the
// page that have changed replaced by what the server renders. Data reaches the page as a
// parsed document or through textContent alone.
"use strict";
(() => {
  const root = document.documentElement, see = root.dataset.see, prefix = root.dataset.prefix;
  const age = document.getElementById("age"), spoken = document.getElementById("spoken");
  let keep = null;
  try { keep = localStorage; root.dataset.theme = keep.getItem("theme") || ""; } catch { /* no storage */ }

  const off = () => { try { return keep.getItem("keys") === "off"; } catch { return false; } };

  const word = document.createElement("span"), theme = document.createElement("button");
  theme.textContent = "light or dark";
  theme.onclick = () => {
    const dark = getComputedStyle(root).colorScheme === "dark" ||
      !root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { keep.setItem("theme", root.dataset.theme); } catch { /* not kept */ }
  };
  if (see) word.textContent = "live";
  age.replaceChildren(word, theme);

  let before = "";
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName) || off()) return;
    const to = { r: "/", a: "/approvals", y: "/me", l: "/alerts", c: "/checklists", h: "/health" }[e.key];
    const alone = { "/": "/find", "?": "/help" }[e.key], field = document.querySelector("form[role=search] input");
    if (before === "g" && to) location.href = prefix + to;
    else if (alone === "/find" && field) { e.preventDefault(); field.focus(); }
    else if (alone) { e.preventDefault(); location.href = prefix + alone; }
    before = e.key;
  });
  const keys = document.createElement("button");
  const named = () => { keys.textContent = off() ? "turn the keys on" : "turn the keys off"; };
  keys.className = "button";
  keys.onclick = () => { try { keep.setItem("keys", off() ? "" : "off"); } catch { /* not kept */ } named(); };
  if (location.pathname === prefix + "/help") { named(); document.getElementById("main").append(keys); }
  document.querySelector("form[role=search] input")?.focus();
  if (!see) return;

  let last = Date.now(), spokenAt = 0, busy = false, again = false, source = null, drop = () => {};
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("serin " + prefix + " " + see) : null;
  const kinds = () => [...document.querySelectorAll("[data-kind]")].map((e) => e.dataset.kind).join();

  const replace = (fresh) => {
    const said = kinds();
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (!now) continue;
      old.querySelectorAll("details").forEach((d, i) => { const same = now.querySelectorAll("details")[i]; if (same) same.open = d.open; });
      if (old.isEqualNode(now) || old.contains(document.activeElement) && old.querySelector("input")) continue;
      const at = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      old.replaceWith(document.adoptNode(now));
      if (at) [...now.querySelectorAll("a")].find((a) => a.getAttribute("href") === at)?.focus();
    }
    document.title = fresh.title;
    if (said !== kinds() && Date.now() - spokenAt > 10000) {
      spokenAt = Date.now();
      spoken.textContent = document.querySelector(".sentence")?.textContent || "";
    }
  };

  const refresh = () => {
    if (busy) { again = true; return; }
    busy = true;
    const x = new XMLHttpRequest();
    x.open("GET", location.href);
    x.responseType = "document";
    x.timeout = 4000;
    x.onload = () => {
      if (x.status === 200 && x.response) { last = Date.now(); replace(x.response); }
      else if (x.status === 401) { word.textContent = "you are signed out: sign in before you act"; }
    };
    x.onloadend = () => { busy = false; if (again) { again = false; setTimeout(refresh, 700); } };
    x.send();
  };

  const heard = () => { last = Date.now(); refresh(); };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(prefix + "/api/v1/stream?see=" + encodeURIComponent(see));
    const changed = () => { channel?.postMessage(1); heard(); };
    for (const kind of ["message", "state", "update", "alerts"]) source.addEventListener(kind, changed);
    source.onerror = () => { if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, 2000); } };
  };
  const close = () => { source?.close(); source = null; };
  if (channel) channel.onmessage = heard;

  // Tabs that show the same share one stream: the one that has the lock has the stream.
  const share = () => {
    if (document.hidden) return;
    if (!navigator.locks || !channel) { open(); return; }
    const stop = new AbortController();
    navigator.locks.request("serin " + prefix + " " + see, { signal: stop.signal }, () => new Promise((done) => {
      drop = () => { close(); done(); };
      open();
    })).catch(() => {});
    drop = () => { stop.abort(); };
  };
  document.addEventListener("visibilitychange", () => { drop(); drop = () => {}; close(); if (!document.hidden) { share(); refresh(); } });
  addEventListener("pagehide", () => { drop(); close(); });
  share();

  setInterval(() => {
    if (document.hidden) return;
    const quiet = Date.now() - last, old = quiet > 5000;
    root.classList.toggle("stale", old);
    if (!/signed out/.test(word.textContent) || !old) {
      word.textContent = old ? "no word since " + new Date(last).toLocaleTimeString() + ": this may be old" : "live, " + Math.floor(quiet / 1000) + " s ago";
    }
    if (quiet > 3000) refresh();
  }, 1000);
})();
