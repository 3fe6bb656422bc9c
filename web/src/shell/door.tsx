// The ways in: name and password, on a page or in place; links that work once; a token in a link.

import { useEffect, useState } from "preact/hooks";
import { api, type Schemas, told } from "../api/client";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Form, TextField } from "../parts/form";
import { Shown, useRead } from "../parts/loaded";
import { Empty } from "../parts/look";
import { texts } from "../texts";
import { asking, becomeOwner, entered, me, signIn, signOut } from "./person";
import { go, query } from "./router";

interface NameProps {
  label: string;
  value: string;
  onName: (name: string) => void;
  autofocus: boolean;
}

function NameField({ onName, ...props }: NameProps) {
  return (
    <TextField
      {...props}
      onInput={(event) => onName(event.currentTarget.value)}
      autocomplete="username"
      autocapitalize="none"
      spellcheck={false}
      maxLength={200}
      required
    />
  );
}

function Credentials({ name = "", why = "" }: { name?: string; why?: string }) {
  const [given, setName] = useState(name);
  const [password, setPassword] = useState("");
  return (
    <Form submit={texts.signIn.submit} onSend={() => signIn(given, password)}>
      {why && <p>{why}</p>}
      <NameField label={texts.signIn.name} value={given} onName={setName} autofocus={!name} />
      <TextField
        label={texts.signIn.password}
        type="password"
        value={password}
        onInput={(event) => setPassword(event.currentTarget.value)}
        autocomplete="current-password"
        maxLength={200}
        required
        autofocus={!!name}
      />
    </Form>
  );
}

/** The page for whoever is not signed in. */
export function SignIn({ why = "" }: { why?: string }) {
  return (
    <section class="card door" aria-label={texts.signIn.title}>
      <h1>{texts.signIn.title}</h1>
      <Credentials why={why} />
      <p class="quiet">{texts.signIn.hint}</p>
    </section>
  );
}

/** After signing in on /sign-in: where one came from. */
export function SignedIn() {
  useEffect(() => {
    const back = query.value.get("back") ?? "/";
    go(/^\/(?!\/)/.test(back) ? back : "/", { replace: true });
  }, []);
  return null;
}

/** Asks for the password over the page that waits for it. */
export function SignInAgain() {
  if (!asking.value) return null;
  return (
    <Dialog title={texts.signIn.title} onClose={() => {}} closable={false}>
      <Credentials name={me.value?.name ?? ""} why={texts.signIn.again} />
      <Button kind="plain" onPress={signOut}>
        {texts.signIn.leave}
      </Button>
    </Dialog>
  );
}

/** What a link carries behind #, which no server sees; it leaves the address bar at once. */
export function takeFromAddress(): { token: string | null; secret: string | null } {
  const hash = location.hash.slice(1);
  const given = new URLSearchParams(hash);
  if (hash) history.replaceState(null, "", location.pathname + location.search);
  const bare = location.pathname === "/join" && hash && !hash.includes("=") ? hash : null;
  return { token: given.get("token"), secret: given.get("invitation") ?? bare };
}

/** The token of a link, and whose it is. */
export interface Link {
  token: string;
  owner: Schemas["Me"];
}

/** Asks whoever is signed in before a link makes them somebody else. */
export function AskFirst({ token, owner, onClose }: Link & { onClose: () => void }) {
  const t = texts.otherPerson;
  const present = me.value?.name ?? "";
  return (
    <Dialog title={t.title(owner.name)} says={t.text(present, owner.name)} onClose={onClose}>
      <Form
        submit={t.submit(owner.name)}
        onSend={() => becomeOwner(token)}
        kind="normal"
        beside={
          <Button autofocus kind="primary" onPress={onClose}>
            {t.stay(present)}
          </Button>
        }
      />
    </Dialog>
  );
}

/** What a link offers, and the form to take it up. */
export function Join({ secret, onDone }: { secret: string | null; onDone: () => void }) {
  const offer = useRead(async () => {
    if (secret === null) throw new Error(texts.join.missing);
    return await told(api.POST("/api/invitations/look", { body: { secret } }));
  }, [secret]);
  if (offer.error) {
    return (
      <section class="card door">
        <Empty title={texts.join.wrong}>
          <p role="alert">{offer.error.message}</p>
          <p>
            <a href="/" onClick={onDone}>
              {texts.missing.back}
            </a>
          </p>
        </Empty>
      </section>
    );
  }
  return <Shown of={offer}>{(told) => <Offer offer={told} secret={secret ?? ""} onDone={onDone} />}</Shown>;
}

function Offer({
  offer,
  secret,
  onDone,
}: {
  offer: Schemas["OfferOut"];
  secret: string;
  onDone: () => void;
}) {
  const [asMe, setAsMe] = useState(offer.purpose === "join" && !!me.value);
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  async function accept(): Promise<void> {
    const named = offer.purpose === "password" ? {} : { name };
    const body = asMe ? { secret } : { secret, password, ...named };
    entered(await told(api.POST("/api/invitations/accept", { body })));
    onDone();
    go("/", { replace: true });
  }
  const title = { ...texts.join.title, join: texts.join.title.join(offer.project ?? "") }[offer.purpose];
  const text = {
    join: texts.join.text.join(offer.invited_by, offer.role ?? ""),
    password: texts.join.text.password(offer.person ?? ""),
    first_admin: texts.join.text.first_admin,
  }[offer.purpose];
  return (
    <section class="card door" aria-label={title}>
      <h1>{title}</h1>
      <Form
        submit={texts.join.submit}
        onSend={accept}
        beside={asMe && <Button onPress={() => setAsMe(false)}>{texts.join.somebodyElse}</Button>}
      >
        <p>
          {text} {asMe && texts.join.as(me.value?.name ?? "")}
        </p>
        {!asMe && offer.purpose !== "password" && (
          <NameField label={texts.join.name} value={name} onName={setName} autofocus />
        )}
        {!asMe && (
          <TextField
            label={texts.join.password}
            type="password"
            value={password}
            onInput={(event) => setPassword(event.currentTarget.value)}
            autocomplete="new-password"
            minLength={12}
            maxLength={200}
            required
          />
        )}
      </Form>
    </section>
  );
}
