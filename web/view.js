// Projects and labels as elements; what stands on the page stays, only what has changed is drawn again.

import { drawPlot } from "./plot.js";

function make(name, className = "", text = null) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== null) node.textContent = text;
  return node;
}

const number = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const mean = (rows) => rows.reduce((sum, row) => sum + row.interactions, 0) / rows.length;

function summary(rows) {
  const untouched = rows.filter((row) => row.interactions === 0).length;
  if (rows.length < 4) return `${number(untouched, "image")} accepted untouched`;
  const half = Math.floor(rows.length / 2);
  const first = mean(rows.slice(0, half)).toFixed(1);
  const second = mean(rows.slice(-half)).toFixed(1);
  return `${first} interactions per image in the first half, ${second} in the second; ` +
    `${number(untouched, "image")} accepted untouched`;
}

function legend() {
  const list = make("ul", "legend");
  for (const [kind, text] of [["image", "an image"], ["untouched", "accepted untouched"], ["mean", "running mean"]]) {
    list.append(make("li", kind, text));
  }
  return list;
}

function table(rows) {
  const node = make("table");
  const head = node.createTHead().insertRow();
  for (const title of ["#", "Image", "Interactions", "Context", "Seconds"]) {
    const cell = make("th", "", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = node.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    const seconds = row.seconds === null ? "–" : Math.round(row.seconds);
    for (const value of [row.position, row.image, row.interactions, row.context_size ?? 0, seconds]) {
      line.insertCell().textContent = value;
    }
  }
  return node;
}

/** One label: its progress, its plot, its numbers. */
class LabelView {
  constructor() {
    this.root = make("article", "label");
    this.title = make("h3");
    this.count = make("p", "count");
    this.bar = make("progress");
    this.summary = make("p", "summary");
    this.frame = make("div", "frame");
    this.details = make("details");
    this.rows = [];
    this.width = 0;
    this.root.append(this.title, this.count, this.bar, this.summary, this.frame, legend(), this.details);
    new ResizeObserver(() => {
      if (this.frame.clientWidth !== this.width) this.draw();
    }).observe(this.frame);
  }

  update(label, rows) {
    const state = JSON.stringify([label, rows]);
    if (state === this.state) return;
    this.state = state;
    this.name = label.name;
    this.title.textContent = label.name;
    this.count.textContent = `${label.accepted} of ${number(label.images, "image")} accepted` +
      (label.skipped ? `, ${label.skipped} skipped` : "");
    this.bar.max = Math.max(label.images, 1);
    this.bar.value = label.accepted;
    this.bar.setAttribute("aria-label", `${label.name}: ${label.accepted} of ${label.images} accepted`);
    this.rows = rows;
    this.root.classList.toggle("fresh", rows.length === 0);
    this.summary.textContent = rows.length ? summary(rows) : label.images
      ? "No mask is accepted yet. The curve starts with the first."
      : "No images yet.";
    this.details.replaceChildren(make("summary", "", "The numbers"), table(rows));
    this.draw();
  }

  draw() {
    this.width = this.frame.clientWidth;
    if (this.width) this.frame.replaceChildren(...(this.rows.length ? [drawPlot(this.rows, this.width, this.name)] : []));
  }
}

function code(text) {
  const block = make("pre");
  block.append(make("code", "", text));
  return block;
}

function firstSteps() {
  const note = make("article", "project");
  note.append(
    make("h2", "", "No projects yet"),
    make("p", "", "Create one and upload images with the Python client, or watch a simulated annotator at work:"),
    code("accrue simulate FOLDER --label nucleus --images 16"),
  );
  return note;
}

const ROLES = ["viewer", "annotator", "reviewer", "manager", "owner"];

/** For those who may: a link that makes whoever opens it first a member, in a role up to one's own. */
function inviting(project, invite) {
  const own = ROLES.indexOf(project.role);
  if (own < ROLES.indexOf("manager")) return [];
  const form = make("form", "invite");
  const select = make("select");
  select.setAttribute("aria-label", "Role");
  for (const role of ROLES.slice(0, own + 1)) select.append(new Option(role, role, role === "annotator", role === "annotator"));
  const button = make("button", "", "Make an invitation");
  const link = make("output");
  form.append(select, button, link);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    link.value = await invite(project, select.value).catch((problem) => problem.message);
    button.disabled = false;
  });
  return [form];
}

/** The list of projects; `show` takes what the API said and the rows of each label by its id. */
export class ProjectsView {
  constructor(root, invite) {
    this.root = root;
    this.invite = invite;
    this.empty = firstSteps();
    this.projects = new Map();
    this.labels = new Map();
  }

  show(projects, rowsOf) {
    const shown = projects.map((project) => this.project(project, rowsOf));
    const wanted = shown.length ? shown : [this.empty];
    const same = wanted.length === this.root.children.length &&
      wanted.every((node, i) => node === this.root.children[i]);
    if (!same) this.root.replaceChildren(...wanted);
  }

  project(project, rowsOf) {
    if (!this.projects.has(project.id)) this.projects.set(project.id, make("article", "project"));
    const node = this.projects.get(project.id);
    const labels = project.labels.map((label) => {
      if (!this.labels.has(label.id)) this.labels.set(label.id, new LabelView());
      const view = this.labels.get(label.id);
      view.update(label, rowsOf.get(label.id) ?? []);
      return view.root;
    });
    const drawn = [project.name, project.model, project.use_context, project.role, project.labels.map((label) => label.id)];
    const state = JSON.stringify(drawn);
    if (node.dataset.state !== state) {
      node.dataset.state = state;
      const context = project.use_context ? "" : ", without context";
      const body = labels.length ? labels : [make("p", "summary", "No labels yet.")];
      const head = [make("h2", "", project.name), make("p", "model", project.model + context)];
      node.replaceChildren(...head, ...body, ...inviting(project, this.invite));
    }
    return node;
  }
}
