// One action of the user is one step of the browser's history. Streamlit pushes an entry whenever
// the address changes, and a page writes its address in two or three goes: the bare path when its
// link is followed, then what it shows. All goes but the first take the place of the one before.
// Two actions before the page has answered the first are one step.
(() => {
  const push = history.pushState;
  let acted = false;
  const note = () => {
    acted = true;
  };
  for (const kind of ["pointerdown", "keydown", "change", "drop"]) {
    window.addEventListener(kind, note, { capture: true, passive: true });
  }
  history.pushState = function (state, title, address) {
    // No view has an address without parameters: such an entry is one that is being completed.
    const completes = !location.search && new URL(address, location).search;
    if (completes || !acted) history.replaceState(state, title, address);
    else push.call(history, state, title, address);
    acted &&= completes;
  };
})();
