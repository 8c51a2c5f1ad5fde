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
