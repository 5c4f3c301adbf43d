"use strict";
// The page is whole without this; it only keeps it fresh while somebody looks and is not typing.
setInterval(async () => {
  const typing = (field) => field === document.activeElement || field.value !== field.defaultValue;
  const busy = Array.from(document.querySelectorAll("main input")).some(typing);
  if (document.hidden || busy || String(getSelection())) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const shown = document.querySelector("main");
    if (fresh && shown) shown.replaceWith(fresh);
  } catch { /* the daemon restarts: the next time */ }
}, 30000);
