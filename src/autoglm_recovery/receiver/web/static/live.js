/* Copyright: (c) 2026, autoglm.recovery maintainers
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keeps a page as it would be if it were loaded now. Nothing else on the pages needs this.
 * Every two seconds the page is asked for again; the server says "not modified" to most of that. What is marked
 * data-live and has changed is put in; the rest stays as it is, with focus, open details and half-written comments.
 */
"use strict";
(() => {
  const EVERY_MS = 2000;
  const SLOWEST_MS = 30000;
  const DEADLINE_MS = 10000;
  const main = document.getElementById("main");
  const link = document.getElementById("link");
  const live = document.getElementById("live");
  const news = document.getElementById("news");
  let tag = main.dataset.tag;
  let lostSince = null;
  let failures = 0;
  let timer = 0;
  let asking = null;
  let over = false;

  const clock = (date) => date.toISOString().slice(11, 19) + " UTC";

  // How old something is changes each second and is no news.
  const agesIn = (element) => element.querySelectorAll("[data-age]");
  const textOf = (element) => {
    const copy = element.cloneNode(true);
    agesIn(copy).forEach((age) => { age.textContent = ""; age.removeAttribute("title"); });
    copy.querySelectorAll("time").forEach((time) => time.removeAttribute("title"));
    return copy.innerHTML;
  };
  const seen = new Map();
  const livesIn = (root) => root.querySelectorAll("[data-live]");
  livesIn(document).forEach((element) => seen.set(element.id, textOf(element)));

  const rough = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 100) return `${whole} s`;
    if (whole < 6000) return `${Math.floor(whole / 60)} min`;
    if (whole < 172800) return `${Math.floor(whole / 3600)} h`;
    return `${Math.floor(whole / 86400)} days`;
  };
  let ahead = 0; // of our clock, before the server's
  const tick = () => {
    if (document.hidden) return;
    agesIn(document).forEach((age) => {
      const seconds = (Date.now() - ahead) / 1000 - Number(age.dataset.age);
      const text = seconds < 0 ? `in ${rough(-seconds)}` : `${rough(seconds)} ago`;
      if (age.textContent !== text) age.textContent = text;
    });
  };
  const nameTimes = (root) => root.querySelectorAll("time[datetime]").forEach((time) => {
    time.title = `${new Date(time.dateTime).toLocaleString()} here`;
  });

  // What a person has done to a part of the page: which details are open, what is written, where the focus is.
  const stateOf = (element) => {
    const focus = element.contains(document.activeElement) ? document.activeElement : null;
    return {
      open: new Map([...element.querySelectorAll("details[id]")].map((each) => [each.id, each.open])),
      written: new Map([...element.querySelectorAll("input[id]")].filter((i) => i.value !== i.defaultValue)
        .map((input) => [input.id, input.value])),
      focus: focus && {
        id: focus.id, href: focus.getAttribute("href"), tag: focus.tagName, value: focus.value, name: focus.name,
        start: focus.selectionStart, end: focus.selectionEnd,
        of: focus.tagName === "SUMMARY" ? focus.parentElement.id : "",
      },
      scrolled: [...element.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]),
    };
  };
  const again = (element, was) => {
    if (was.id) return document.getElementById(was.id);
    if (was.of) return document.querySelector(`#${CSS.escape(was.of)} > summary`);
    return [...element.querySelectorAll(was.tag)].find((each) =>
      was.href ? each.getAttribute("href") === was.href : each.name === was.name && each.value === was.value);
  };
  const restore = (element, was) => {
    was.open.forEach((open, id) => { const d = document.getElementById(id); if (d) d.open = open; });
    was.written.forEach((value, id) => { const input = document.getElementById(id); if (input) input.value = value; });
    element.querySelectorAll(".scroll").forEach((each, place) => {
      if (was.scrolled[place]) [each.scrollLeft, each.scrollTop] = was.scrolled[place];
    });
    if (!was.focus) return;
    const target = again(element, was.focus);
    if (!target) { main.focus({ preventScroll: true }); return; }
    target.focus({ preventScroll: true });
    if (was.focus.start !== null && was.focus.start !== undefined && target.setSelectionRange) {
      target.setSelectionRange(was.focus.start, was.focus.end);
    }
  };

  const putIn = (fresh) => {
    const top = window.scrollY;
    const old = new Map([...livesIn(document)].map((element) => [element.id, element]));
    const parts = [...livesIn(fresh)];
    // Parts that come or go (orders that are allowed now, say) have the whole page put in.
    const same = parts.length === old.size && parts.every((part) => old.has(part.id));
    if (!same) {
      const was = stateOf(main);
      main.innerHTML = fresh.getElementById("main").innerHTML;
      restore(main, was);
    }
    parts.forEach((part) => {
      const text = textOf(part);
      const element = document.getElementById(part.id);
      if (element && (!same || seen.get(part.id) !== text) && (same || !main.contains(element))) {
        const was = stateOf(element);
        element.className = part.className;
        element.innerHTML = part.innerHTML;
        restore(element, was);
      }
      seen.set(part.id, text);
    });
    [...seen.keys()].filter((id) => !parts.some((part) => part.id === id)).forEach((id) => seen.delete(id));
    document.title = fresh.title;
    const told = fresh.getElementById("main").dataset;
    if (told.news && told.news !== main.dataset.news) news.textContent = told.news;
    main.dataset.news = told.news;
    tag = told.tag;
    nameTimes(main);
    window.scrollTo({ top, behavior: "instant" });
  };

  const say = (kind, text, address) => {
    link.replaceChildren();
    link.hidden = !text;
    if (!text) return;
    const bar = document.createElement("p");
    bar.className = `bar ${kind}`;
    bar.textContent = text;
    if (address) {
      const anchor = document.createElement("a");
      anchor.href = address;
      anchor.textContent = "Log in again";
      bar.append(" ", anchor);
    }
    link.append(bar);
  };

  const ask = async () => {
    asking = new AbortController();
    const deadline = setTimeout(() => asking.abort(), DEADLINE_MS);
    try {
      const answer = await fetch(location.href, { headers: { "If-None-Match": tag }, signal: asking.signal });
      if (answer.redirected && new URL(answer.url).pathname === "/login") {
        over = true;
        const back = encodeURIComponent(location.pathname + location.search);
        say("ask", "You are logged out, and this page moves no more.", `/login?next=${back}`);
        return;
      }
      if (answer.status === 200) putIn(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else if (answer.status !== 304) throw new Error(`the receiver answers ${answer.status}`);
      const date = Date.parse(answer.headers.get("date"));
      if (date) ahead = Math.abs(Date.now() - date) < 2000 ? 0 : Date.now() - date;
      failures = 0;
      if (lostSince) { lostSince = null; say("", ""); }
      live.textContent = `Live, last looked at ${clock(new Date(Date.now() - ahead))}`;
    } catch (error) {
      if (document.hidden) return;
      failures += 1;
      if (failures < 2) return;
      if (!lostSince) {
        lostSince = new Date(Date.now() - ahead);
        const why = error.name === "Error" ? error.message : "the receiver does not answer";
        say("danger", `Connection lost at ${clock(lostSince)} (${why}). What is shown is from then; still trying.`);
        live.textContent = `Not live since ${clock(lostSince)}`;
      }
    } finally {
      clearTimeout(deadline);
      asking = null;
    }
  };

  const next = (pause) => {
    clearTimeout(timer);
    if (over || document.hidden) return;
    timer = setTimeout(async () => {
      await ask();
      next(Math.min(SLOWEST_MS, EVERY_MS * 2 ** Math.max(0, failures - 2)));
    }, pause);
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { clearTimeout(timer); if (asking) asking.abort(); } else next(0);
  });

  const step = (by) => {
    const links = [...document.querySelectorAll(".incident .what a")];
    const here = links.indexOf(document.activeElement);
    const to = here < 0 ? (by > 0 ? 0 : links.length - 1) : here + by;
    if (links[to]) links[to].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") {
      const search = document.getElementById("f-q");
      if (search) { event.preventDefault(); search.focus(); } else location.assign("/incidents");
    }
  });

  document.querySelector(".keys").hidden = false;
  nameTimes(document);
  setInterval(tick, 1000);
  if (tag) { live.textContent = "Live"; next(EVERY_MS); } else over = true;
})();
