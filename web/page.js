// Boot: sign in, then read the projects every few seconds for as long as the page can be seen.

import { Problem, interactionsPerImage, projects, whoAmI } from "./server.js";
import { ProjectsView } from "./view.js";

const EVERY_MS = 3000;
const KEY = "accrue-token";
const at = (id) => document.getElementById(id);

const view = new ProjectsView(at("projects"));
const known = new Map(); // label id → what its rows were read for, and the rows
let timer = 0;

/** A sign-in link carries the token behind #, which no server sees; it leaves the address bar at once. */
function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  sessionStorage.setItem(KEY, token);
  history.replaceState(null, "", location.pathname + location.search);
}

function askForToken(refusal = "") {
  clearTimeout(timer);
  sessionStorage.removeItem(KEY);
  known.clear();
  at("notice").textContent = "";
  at("projects").hidden = at("account").hidden = true;
  at("sign-in").hidden = false;
  at("refusal").textContent = refusal;
  at("token").value = "";
  at("token").focus();
}

async function rowsOf(token, label) {
  const version = `${label.accepted}/${label.context_version}`;
  if (known.get(label.id)?.version !== version) {
    known.set(label.id, { version, rows: await interactionsPerImage(token, label.id) });
  }
  return [label.id, known.get(label.id).rows];
}

async function refresh(token) {
  const found = await projects(token);
  const labels = found.flatMap((project) => project.labels);
  const rows = new Map(await Promise.all(labels.map((label) => rowsOf(token, label))));
  at("projects").hidden = false;
  view.show(found, rows);
  at("notice").textContent = "";
}

async function run(token, greet) {
  clearTimeout(timer);
  try {
    if (greet) at("name").textContent = (await whoAmI(token)).name;
    if (!document.hidden || greet) await refresh(token);
    greet = false;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (sessionStorage.getItem(KEY) !== token) return;
    if (problem.status === 401) {
      askForToken("This token is not valid, or not any more.");
      return;
    }
    at("notice").textContent = `${problem.message} Trying again …`;
  }
  if (sessionStorage.getItem(KEY) !== token) return;
  at("sign-in").hidden = true;
  at("account").hidden = at("name").textContent === "";
  timer = setTimeout(() => run(token, greet), EVERY_MS);
}

function start() {
  takeTokenFromAddress();
  const token = sessionStorage.getItem(KEY);
  if (token === null) {
    askForToken();
    return;
  }
  at("notice").textContent = "Loading …";
  run(token, true);
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, at("token").value.trim());
  start();
});
at("sign-out").addEventListener("click", () => askForToken());
addEventListener("hashchange", start);
document.addEventListener("visibilitychange", () => {
  const token = sessionStorage.getItem(KEY);
  if (!document.hidden && token !== null) run(token, at("name").textContent === "");
});
start();
