"use strict";
// One page for both ways: answers go to a server that saves them, or stay in the browser and end in a file.

const byId = (id) => document.getElementById(id);
const SCREENS = ["welcome", "notice", "rating"];
let GAP_MS = 250; // grey between two pictures, so that they are not compared by flicker
let LEAST_MS = 200; // a key that comes sooner was meant for the picture before
const RETRY_MS = 1500;

let backend;
let state = null;
let taking = false; // whether an answer is taken now
let viewed = 0; // milliseconds that the picture has been in view
let since = null; // when it last came into view

// --- where answers go ----------------------------------------------------------------------------------------------

function served() {
  const loaded = new Map(); // picture number -> promise of an object URL
  const base = location.pathname;
  async function ask(path, options) {
    const response = await fetch(base + path, options);
    if (response.ok) return response;
    const told = await response.json().catch(() => ({}));
    throw Object.assign(new Error(told.error || `the server answered ${response.status}`), { status: response.status });
  }
  return {
    state: async () => (await ask("state")).json(),
    image(number) {
      if (!loaded.has(number)) {
        const url = ask(`image/${number}`).then((r) => r.blob()).then((blob) => URL.createObjectURL(blob));
        url.catch(() => loaded.delete(number));
        loaded.set(number, url);
      }
      for (const [old, url] of loaded) {
        if (old < number - 1) { url.then(URL.revokeObjectURL, () => {}); loaded.delete(old); }
      }
      return loaded.get(number);
    },
    vote: async (answer) => (await ask("vote", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer),
    })).json(),
  };
}

function embedded(data) {
  let code = null, votes = [];
  const key = () => `medrestore-study-${data.study}-${code}`;
  const keep = () => { try { localStorage.setItem(key(), JSON.stringify(votes)); } catch { /* kept in memory */ } };
  // The same rules as in design.py: a practice is repeated until it was passed or the attempts are used up.
  function place() {
    const plan = data.roster[code];
    let begin = 0;
    for (let attempt = 1; attempt <= plan.practice.length; attempt++) {
      const trials = plan.practice[attempt - 1];
      const given = votes.slice(begin, begin + trials.length).map((vote) => vote.score);
      if (given.length < trials.length) return { phase: "practice", trials, done: given.length, attempt };
      begin += trials.length;
      const passed = trials.every((picture, i) =>
        data.gates[picture] === "high" ? given[i] >= data.high : data.gates[picture] === "low" ? given[i] <= data.low : true);
      if (passed) {
        const done = votes.length - begin;
        return { phase: done < plan.session.length ? "main" : "finished", trials: plan.session, done, attempt };
      }
    }
    return { phase: "locked", trials: [], done: 0, attempt: plan.practice.length };
  }
  const now = () => {
    const { phase, trials, done, attempt } = place();
    return { title: data.title, question: data.question, minimum: data.minimum, phase, attempt, done,
      number: votes.length, total: trials.length, more: done + 1 < trials.length };
  };
  return {
    needsCode: true,
    title: data.title,
    enter(given) {
      if (!Object.hasOwn(data.roster, given)) return false;
      code = given;
      try { votes = JSON.parse(localStorage.getItem(key()) || "[]"); } catch { votes = []; }
      return true;
    },
    state: async () => now(),
    async image(number) {
      const { trials, done } = place();
      return `data:image/png;base64,${data.images[trials[done + number - votes.length]]}`;
    },
    async vote(answer) { votes.push(answer); keep(); return now(); },
    save() {
      const file = { format: 1, study: data.study, rater: code, count: votes.length, votes, end: "complete" };
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], { type: "application/json" }));
      link.download = `answers_${code}.json`;
      link.click();
    },
  };
}

// --- screens -------------------------------------------------------------------------------------------------------

function show(name) {
  for (const id of SCREENS) byId(id).hidden = id !== name;
  taking = false;
  check();
}

function notice(title, text, button, action) {
  byId("notice-title").textContent = title;
  byId("notice-text").textContent = text;
  byId("go-on").textContent = button || "";
  byId("go-on").hidden = !button;
  byId("go-on").onclick = action || null;
  show("notice");
  (button ? byId("go-on") : byId("notice")).focus();
}

function pictures(count) { return count === 1 ? "one picture" : `${count} pictures`; }

function enter(fresh) {
  document.title = state.title;
  byId("title").textContent = state.title;
  byId("question").textContent = state.question;
  const rest = pictures(state.total - state.done);
  if (state.phase === "finished") {
    if (backend.save) {
      notice("Thank you", "All pictures are rated. Save your answers and send the file back to the person who gave you "
        + "this page.", "Save the answers", backend.save);
    } else {
      notice("Thank you", "All pictures are rated and your answers are saved. You can close this window.");
    }
  } else if (state.phase === "locked") {
    notice("The practice could not be passed", "Your answers to the clearly sharp and the clearly degraded practice "
      + "pictures did not fit the words of the scale. Please talk to the person who sent you here. Thank you for trying.");
  } else if (state.number === 0) {
    show("welcome");
    byId("begin").focus();
  } else if (state.phase === "practice" && state.done === 0) {
    notice("Once more, please", "Some practice pictures were clearly sharp, others clearly degraded, and your answers did "
      + "not tell them apart as the words of the scale mean it: 5 is Excellent, 1 is Bad. Please repeat the practice.",
      "Repeat the practice", next);
  } else if (state.phase === "main" && state.done === 0) {
    notice("The practice is over", `Now ${rest} follow. Rate each one as you did, by itself.`, "Go on", next);
  } else if (fresh) {
    notice("Welcome back", `Your answers so far are saved. ${rest[0].toUpperCase()}${rest.slice(1)} to go`
      + `${state.phase === "practice" ? " in the practice" : ""}.`, "Go on", next);
  } else {
    next();
  }
}

async function next() {
  if (byId("rating").hidden) show("rating");
  taking = false;
  const picture = byId("picture");
  picture.style.visibility = "hidden";
  for (const button of buttons()) { button.disabled = true; button.setAttribute("aria-pressed", "false"); }
  byId("block").textContent = state.phase === "practice" ? "Practice" : "";
  byId("bar").max = state.total;
  byId("bar").value = state.done;
  byId("count").textContent = `Picture ${state.done + 1} of ${state.total}`;
  picture.alt = `Picture ${state.done + 1} of ${state.total}, to be rated`;
  const number = state.number;
  try {
    const [url] = await Promise.all([backend.image(number), new Promise((go) => setTimeout(go, GAP_MS))]);
    picture.src = url;
    await picture.decode();
  } catch (error) {
    if (error.status === 409) return resume();
    byId("trouble").textContent = "The picture could not be loaded. Trying again …";
    return setTimeout(next, RETRY_MS);
  }
  byId("trouble").textContent = "";
  viewed = 0;
  since = null;
  taking = true;
  check();
  picture.style.visibility = "visible";
  for (const button of buttons()) button.disabled = false;
  byId("rating").focus();
  if (state.more) backend.image(number + 1).catch(() => {}); // load ahead; an error will show when it is its turn
}

async function rate(score) {
  const seen = inView();
  if (!taking || !byId("refused").hidden || seen < LEAST_MS) return;
  taking = false;
  for (const button of buttons()) {
    button.disabled = true;
    button.setAttribute("aria-pressed", String(Number(button.dataset.score) === score));
  }
  const answer = { number: state.number, score, viewing_ms: Math.round(seen),
    width: Math.max(1, Math.round(innerWidth)), height: Math.max(1, Math.round(innerHeight)), ratio: devicePixelRatio };
  const before = state;
  for (;;) {
    try {
      state = await backend.vote(answer);
      break;
    } catch (error) {
      if (error.status) return resume(); // answered in another window, or refused: the server knows where we are
      byId("trouble").textContent = "Your answer is not saved yet: the connection is lost. Trying again …";
      await new Promise((go) => setTimeout(go, RETRY_MS));
    }
  }
  byId("trouble").textContent = "";
  if (state.phase !== before.phase || state.attempt !== before.attempt) enter(false); else next();
}

async function resume() {
  try {
    state = await backend.state();
    enter(true);
  } catch (error) {
    notice("No connection", `The study cannot be reached: ${error.message}.`, "Try again", resume);
  }
}

// --- room, zoom and time -------------------------------------------------------------------------------------------

function obstacle() {
  if (!state) return null;
  const [width, height] = state.minimum;
  if (matchMedia("(hover: none) and (pointer: coarse)").matches) {
    return `Fine differences are lost on a phone or tablet. Please open this link on a computer with a screen of at least `
      + `${width} × ${height}.`;
  }
  if (window.screen.width < width || window.screen.height < height) {
    return `This screen has ${window.screen.width} × ${window.screen.height} points; at least ${width} × ${height} are `
      + "needed. Please open this link on a larger screen.";
  }
  const ratio = devicePixelRatio, stretch = outerWidth / innerWidth;
  const zoomed = Math.abs(ratio * 4 - Math.round(ratio * 4)) > 1e-3 || stretch < 0.88
    || (ratio !== 1 && stretch > 1.12) || (window.visualViewport && Math.abs(visualViewport.scale - 1) > 1e-3);
  if (zoomed) return "The browser is zoomed. Please set the zoom to 100 %: press Ctrl and 0 (on a Mac ⌘ and 0).";
  const picture = byId("picture"), stage = byId("stage");
  if (!byId("rating").hidden && taking) {
    const wide = picture.naturalWidth / ratio, high = picture.naturalHeight / ratio;
    if (wide > stage.clientWidth || high > stage.clientHeight) {
      return `The picture does not fit: the window needs ${Math.ceil(wide)} × `
        + `${Math.ceil(high + innerHeight - stage.clientHeight)} points, it has ${innerWidth} × ${innerHeight}. Please make `
        + "it larger, or press F11 for the whole screen.";
    }
  }
  return null;
}

function check() {
  const reason = obstacle();
  byId("refused").hidden = reason === null;
  byId("refused-text").textContent = reason || "";
  for (const id of SCREENS) byId(id).inert = reason !== null;
  pixelForPixel();
  clock();
}

function pixelForPixel() {
  // One pixel of the picture is one of the screen, and begins where one begins.
  const picture = byId("picture"), ratio = devicePixelRatio;
  if (byId("rating").hidden || !picture.naturalWidth) return;
  const stage = byId("stage").getBoundingClientRect();
  const wide = picture.naturalWidth / ratio, high = picture.naturalHeight / ratio;
  // Ratios are quarters, else the page is refused: four points are whole pixels of every such screen.
  const snap = (start, room, size) => Math.round((start + (room - size) / 2) / 4) * 4 - start;
  picture.style.width = `${wide}px`;
  picture.style.height = `${high}px`;
  picture.style.left = `${snap(stage.left, stage.width, wide)}px`;
  picture.style.top = `${snap(stage.top, stage.height, high)}px`;
}

function clock() {
  // Time counts while the picture is in view: not in a hidden tab, not behind a message.
  const running = taking && !document.hidden && byId("refused").hidden;
  if (running && since === null) since = performance.now();
  if (!running && since !== null) { viewed += performance.now() - since; since = null; }
}

function inView() { return viewed + (since === null ? 0 : performance.now() - since); }

// --- begin ---------------------------------------------------------------------------------------------------------

function buttons() { return byId("buttons").querySelectorAll("button"); }

function begin() {
  if (backend.needsCode) {
    if (!backend.enter(byId("code").value.trim())) {
      byId("code-error").textContent = "This code is not known. Please type it as you got it.";
      return byId("code").focus();
    }
    backend.state().then((now) => { state = now; return state.number ? enter(true) : next(); });
  } else {
    next();
  }
}

function start() {
  for (const button of buttons()) button.addEventListener("click", () => rate(Number(button.dataset.score)));
  byId("begin").addEventListener("click", begin);
  byId("code-form").addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || byId("rating").hidden) return;
    if (/^[1-5]$/.test(event.key)) { event.preventDefault(); rate(Number(event.key)); }
  });
  addEventListener("resize", check);
  if (window.visualViewport) visualViewport.addEventListener("resize", check);
  document.addEventListener("visibilitychange", clock);
  addEventListener("pageshow", (event) => { if (event.persisted) resume(); }); // back from another page
  const data = byId("study-data");
  backend = data ? embedded(JSON.parse(data.textContent)) : served();
  if (!data) return resume();
  document.title = backend.title;
  byId("title").textContent = backend.title;
  byId("about").textContent = "A short practice comes first. Your answers stay in this browser until you save them to a "
    + "file at the end, under your code, without your name.";
  byId("code-form").hidden = false;
  show("welcome");
  byId("code").focus();
}

start();
