// Who one is: signing in, and the links that work once (to join, to be the first admin, a new password).

import * as server from "./server.js";

const at = (id) => document.getElementById(id);

/** What a link carries behind #, which no server sees; it leaves the address bar at once. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.size) history.replaceState(null, "", location.pathname + location.search);
  return { token: given.get("token"), invitation: given.get("invitation") };
}

/** Does what a form is for; what is refused is said in it, and it stays as it was filled in. */
function onSubmit(form, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [refusal, button] = [form.querySelector("[role=alert]"), form.querySelector("[type=submit]")];
    refusal.textContent = "";
    button.disabled = true;
    try {
      await act();
    } catch (problem) {
      if (!(problem instanceof server.Problem)) throw problem;
      refusal.textContent = problem.message;
    } finally {
      button.disabled = false;
    }
  });
}

/** The two forms; `entered` is called with whoever is signed in once they are. */
export class Door {
  constructor(entered) {
    this.entered = entered;
    this.secret = null;
    onSubmit(at("sign-in"), async () => this.done(await server.signIn(at("name").value, at("password").value)));
    onSubmit(at("invitation"), () => this.accept());
    at("as-somebody-else").addEventListener("click", () => this.choose());
  }

  done(person) {
    for (const form of [at("sign-in"), at("invitation")]) {
      form.reset();
      form.hidden = true;
    }
    this.secret = null;
    this.entered(person);
  }

  askForPassword(why = "") {
    at("invitation").hidden = true;
    at("sign-in").hidden = false;
    at("sign-in").querySelector("[role=alert]").textContent = why;
    at("name").focus();
  }

  /** `me` is whoever is signed in, or null: only they can join without choosing a name. */
  async open(secret, me) {
    const offer = await server.lookAtInvitation(secret);
    this.secret = secret;
    this.offer = offer;
    this.me = offer.purpose === "join" ? me : null;
    at("sign-in").hidden = true;
    at("invitation").hidden = false;
    at("offer-title").textContent = { join: `Join ${offer.project}`, password: "A new password", first_admin: "Welcome" }[
      offer.purpose
    ];
    at("offer").textContent = {
      join: `${offer.invited_by ?? "Somebody"} asks you in as ${offer.role}.`,
      password: `${offer.person}, choose the password that you sign in with.`,
      first_admin: "Nobody is here yet: choose who you are, and you are the administrator.",
    }[offer.purpose];
    if (this.me) {
      at("offer").textContent += ` You are signed in as ${this.me.name}.`;
      this.showFields(false);
    } else {
      this.choose();
    }
  }

  choose() {
    this.me = null;
    this.showFields(true);
  }

  showFields(shown) {
    const named = shown && this.offer.purpose !== "password";
    at("new-name").required = named;
    at("new-password").required = shown;
    at("new-name-field").hidden = !named;
    at("new-password-field").hidden = !shown;
    at("as-somebody-else").hidden = shown;
  }

  async accept() {
    const [name, password] = [at("new-name").value, at("new-password").value];
    const chosen = this.me ? {} : this.offer.purpose === "password" ? { password } : { name, password };
    this.done(await server.acceptInvitation(this.secret, chosen));
  }
}
