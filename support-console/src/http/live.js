// The only script: a page that shows what may change asks for itself again when it hears that something has changed, and
// puts what is new in the place of what is old. Everything works without it.
"use strict";
(() => {
  const main = document.querySelector("[data-live]");
  if (!main || !window.EventSource) return;
  const replace = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.hasAttribute("aria-live")) {
      old.textContent = fresh.textContent;
      return;
    }
    const open = [...old.querySelectorAll("details")].map((it) => it.open);
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceWith(fresh);
    fresh.querySelectorAll("details").forEach((it, i) => { if (open[i]) it.open = true; });
    if (focused) document.getElementById(focused)?.focus();
  };
  let asking = false, again = false;
  const ask = async () => {
    if (asking) { again = true; return; }
    asking = true;
    do {
      again = false;
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          for (const old of document.querySelectorAll("[data-part]")) {
            const fresh = page.getElementById(old.id);
            if (fresh) replace(old, document.adoptNode(fresh));
          }
        }
      } catch { /* It is asked again with the next word. */ }
    } while (again);
    asking = false;
  };
  const words = new EventSource(main.dataset.live);
  words.addEventListener("message", ask);
  addEventListener("pagehide", () => words.close());
})();
