// Sets the theme before the first paint; runs in the head, so it is a classic script.
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let wanted = "auto";
    try { wanted = localStorage.getItem("theme") || "auto"; } catch { /* storage refused: follow the system */ }
    const theme = wanted === "auto" ? (dark.matches ? "dark" : "light") : wanted;
    document.documentElement.setAttribute("data-bs-theme", theme);
    document.dispatchEvent(new CustomEvent("dms:theme", { detail: { wanted, theme } }));
  };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("dms:theme-apply", apply);
})();
