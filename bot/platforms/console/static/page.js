// Makes the chat live. Every page and form works without this file; here the same pages are fetched and only what differs is
// put in place, so that what is read stays where it is and what is typed is kept.
"use strict";

(() => {
  const body = document.body;
  if (!body.dataset.live) return;
  const one = (selector, inside = document) => inside.querySelector(selector);
  const told = one("#told");
  const said = one("#said");
  body.classList.add("live");

  // Bring a message to the top of the room. Only the room is scrolled: on a phone the page around it stays where it is.
  const toTop = (message) => {
    const room = one(".scroller");
    const space = parseFloat(getComputedStyle(message).scrollMarginTop);
    room.scrollTop += message.getBoundingClientRect().top - room.getBoundingClientRect().top - space;
  };

  // The room shows its end; a message that is taller than the room is read from its top.
  const toLatest = () => {
    const room = one(".scroller");
    const latest = [...document.querySelectorAll("#log > article")].pop();
    room.scrollTop = 0;
    if (latest && latest.offsetHeight > room.clientHeight) toTop(latest);
  };

  const busy = (part) => {
    const focused = document.activeElement;
    return part.contains(focused) && focused.matches("input, select");
  };

  // Put the messages of `fresh` in place: new ones at the end, changed ones over the old. A form that is open stays open.
  const messages = (fresh, forced) => {
    const log = one("#log");
    const next = one("#log", fresh);
    if (!next) return;
    for (const part of [...next.children]) {
      const old = document.getElementById(part.id);
      if (!old) {
        if (part.matches("article")) part.classList.add("arrived");
        log.append(document.adoptNode(part));
      } else if (old === forced || (old.dataset.v !== part.dataset.v && !one("details[open]", old))) {
        old.replaceWith(document.adoptNode(part));
        told.textContent = "Updated: " + (one(".title", part)?.textContent || "");
        if (old === forced) one(".title", part)?.focus({ preventScroll: true });
      }
    }
    const empty = one("#empty");
    if (empty && log.querySelector("article")) empty.remove();
  };

  const put = (fresh, forced) => {
    messages(fresh, forced);
    for (const id of ["people", "side"]) {
      const old = document.getElementById(id);
      const part = fresh.getElementById(id);
      if (old && part && !busy(old)) {
        const focused = old.contains(document.activeElement) ? [...old.querySelectorAll("a, button")].indexOf(document.activeElement) : -1;
        old.replaceWith(document.adoptNode(part));
        if (focused >= 0) [...part.querySelectorAll("a, button")][focused]?.focus({ preventScroll: true });
      }
    }
    const welcome = one("#welcome");
    if (welcome && fresh.body.dataset.live && !fresh.getElementById("welcome")) {
      welcome.remove();
      toLatest();
    }
    if (fresh.title) document.title = fresh.title;
  };

  const parse = async (response) => new DOMParser().parseFromString(await response.text(), "text/html");

  let running = false;
  let again = false;
  const refresh = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      const response = await fetch(body.dataset.home);
      if (response.ok) put(await parse(response));
    } catch {
      // The server is away; the event stream reconnects and asks again.
    } finally {
      running = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const send = async (form, button) => {
    const filled = new FormData(form, button);
    const fields = form.enctype === "multipart/form-data" ? filled : new URLSearchParams(filled);
    const pressed = form.closest("article");
    said.textContent = "";
    form.setAttribute("aria-busy", "true");
    if (button) button.disabled = true;
    try {
      const response = await fetch(form.action, { method: "POST", body: fields });
      const fresh = await parse(response);
      const problem = fresh.getElementById("problem");
      if (problem) {
        said.textContent = problem.textContent;
      } else {
        form.reset();
        put(fresh, pressed);
        const key = one("input[name=key]", form);
        if (key && form.closest(".bring")) key.value = one(".bring input[name=key]", fresh)?.value || key.value;
        const asked = form.matches(".ask, .examples, .bring form") && [...document.querySelectorAll(".mine")].pop();
        if (asked) toTop(asked);
        else if (form.action.endsWith("/skip")) toLatest();
      }
    } catch {
      said.textContent = "Holdfast does not answer. Is it still running? Nothing was lost; try again.";
    } finally {
      form.removeAttribute("aria-busy");
      if (button) button.disabled = false;
    }
  };

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-live]")) return;
    event.preventDefault();
    if (event.target.getAttribute("aria-busy") !== "true") send(event.target, event.submitter);
  });
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest?.("details[open]");
    if (open) {
      open.open = false;
      one("summary", open).focus();
    }
  });

  if (location.hash === "") toLatest();
  const stream = new EventSource(body.dataset.live);
  stream.addEventListener("changed", refresh);
  stream.addEventListener("tick", refresh);
})();
