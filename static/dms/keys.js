// Keyboard: `/` search, `g` and a letter to go somewhere, `n` new deployment, `?` the list of keys.
const CHORD_MS = 1200;
let chord = 0;

function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const going = Date.now() - chord < CHORD_MS;
  chord = 0;
  if (going) {
    const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      window.location.assign(link.href);
      return;
    }
  }
  if (event.key === "g") {
    chord = Date.now();
  } else if (event.key === "n") {
    document.querySelector("[data-go-new]")?.click();
  } else if (event.key === "?") {
    document.getElementById("keys-dialog").showModal();
  } else if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("[data-search], input[type=search]");
    if (search) search.focus();
    else document.querySelector('[data-go="d"]')?.click();
  }
});
