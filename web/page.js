// Boot: who is there, then the projects, read every few seconds for as long as the page can be seen.

import { Door, takeFromAddress } from "./people.js";
import { Problem, interactionsPerImage, invite, projects, signInWithToken, signOut, whoAmI } from "./server.js";
import { ProjectsView } from "./view.js";

const EVERY_MS = 3000;
const at = (id) => document.getElementById(id);

const view = new ProjectsView(at("projects"), async (project, role) => (await invite(project.id, role)).link);
const door = new Door(enter);
const known = new Map(); // label id → what its rows were read for, and the rows
let person = null;
let timer = 0;

function leave(why = "") {
  clearTimeout(timer);
  person = null;
  known.clear();
  at("who").textContent = at("notice").textContent = "";
  at("projects").hidden = at("account").hidden = true;
  door.askForPassword(why);
}

function enter(somebody) {
  person = somebody;
  at("who").textContent = person.name;
  at("account").hidden = false;
  refresh();
}

async function rowsOf(label) {
  const version = `${label.accepted}/${label.context_version}`;
  if (known.get(label.id)?.version !== version) {
    known.set(label.id, { version, rows: await interactionsPerImage(label.id) });
  }
  return [label.id, known.get(label.id).rows];
}

async function refresh() {
  clearTimeout(timer);
  const whose = person;
  try {
    const found = await projects();
    const labels = found.flatMap((project) => project.labels);
    const rows = new Map(await Promise.all(labels.map(rowsOf)));
    if (person !== whose) return;
    at("projects").hidden = false;
    at("notice").textContent = "";
    view.show(found, rows);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (person !== whose) return;
    if (problem.status === 401) return leave("You have been signed out. Sign in to go on.");
    at("notice").textContent = `${problem.message} Trying again …`;
  }
  timer = setTimeout(refresh, EVERY_MS);
}

/** Whoever is signed in, or null. */
async function somebody() {
  return whoAmI().catch((problem) => {
    if (problem.status === 401) return null;
    throw problem;
  });
}

async function start() {
  clearTimeout(timer);
  const { token, invitation } = takeFromAddress();
  try {
    if (token !== null) await signInWithToken(token);
    const me = await somebody();
    if (invitation !== null) {
      at("projects").hidden = true;
      await door.open(invitation, me);
    } else if (me !== null) {
      enter(me);
    } else {
      leave();
    }
    at("notice").textContent = me === null || invitation !== null ? "" : "Loading …";
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status) return leave(problem.message);
    at("notice").textContent = `${problem.message} Trying again …`;
    timer = setTimeout(start, EVERY_MS);
  }
}

at("sign-out").addEventListener("click", async () => {
  await signOut().catch(() => null);
  leave();
});
addEventListener("hashchange", () => location.hash.length > 1 && start());
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden && person !== null) refresh();
});
start();
