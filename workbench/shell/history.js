// One action of the user is one step of the browser's history. Streamlit pushes an entry whenever
// the URL changes, and a page writes its URL in two or three steps: the bare path when its link is
// followed, then what it shows. Every step but the first replaces the one before. Two actions before
// the page has answered the first are one step.
(() => {
  const push = history.pushState;
  let acted = false;
  const note = () => {
    acted = true;
  };
  for (const kind of ["pointerdown", "keydown", "change", "drop"]) {
    window.addEventListener(kind, note, { capture: true, passive: true });
  }
  history.pushState = function (state, title, url) {
    // No view has a URL without parameters: such an entry is one that is not complete yet.
    const completes = !location.search && new URL(url, location).search;
    if (completes || !acted) history.replaceState(state, title, url);
    else push.call(history, state, title, url);
    acted &&= completes;
  };
})();

// The links of the sidebar keep what is being looked at, also in a new tab or when they are copied.
(() => {
  const kept = /* parameters of every page */ [];
  const update = () => {
    const all = new URLSearchParams(location.search);
    const query = new URLSearchParams(kept.flatMap((k) => (all.has(k) ? [[k, all.get(k)]] : [])));
    for (const link of document.querySelectorAll('[data-testid="stSidebarNavLink"]')) {
      const url = new URL(link.href);
      url.search = query;
      if (link.href !== url.href) link.href = url.href;
    }
  };
  for (const name of ["pushState", "replaceState"]) {
    const change = history[name];
    history[name] = function (...args) {
      change.apply(history, args);
      update();
    };
  }
  window.addEventListener("popstate", update);
  const observe = () => new MutationObserver(update).observe(document.body, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["href"],
  });
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", observe) : observe();
})();
