/* Runs before the first paint, so that a chosen theme and language never flash. */
try {
  const theme = localStorage.getItem("streamwatch.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const lang = localStorage.getItem("streamwatch.lang");
  if (lang === "en" || lang === "zh") document.documentElement.lang = lang;
} catch {
  // Without storage the system's theme holds.
}
