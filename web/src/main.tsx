// Boot: who is there, then the page of the address.

import { useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { Problem } from "./api/client";
import { Loading } from "./parts/look";
import { AskFirst, Join, type Link, SignIn, takeFromAddress } from "./shell/door";
import { Frame } from "./shell/frame";
import { startKeys } from "./shell/keys";
import { me, recognise, signInWithToken, startPerson } from "./shell/person";
import { Place } from "./shell/places";
import { route, startRouter } from "./shell/router";
import { startTheme } from "./shell/theme";
import { complain } from "./shell/toasts";
import { startUnderWay } from "./shell/under-way";
import "./style/tokens.css";
import "./style/elements.css";
import "./style/parts.css";
import "./style/frame.css";
import "./style/pages.css";

const CANVAS = new Set(["annotate", "annotation", "review"]);

function App() {
  const secret = useSignal<string | null>(null);
  const link = useSignal<Link | null>(null);
  const why = useSignal("");
  async function enterWith(token: string): Promise<void> {
    const owner = await signInWithToken(token);
    link.value = owner && { token, owner };
  }
  async function arrive(): Promise<void> {
    const given = takeFromAddress();
    try {
      if (given.token) await enterWith(given.token);
      if (!me.value) await recognise();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (me.value) return complain(error);
      why.value = error.message;
      me.value = null;
    }
    if (given.secret) secret.value = given.secret;
  }
  useEffect(() => {
    arrive();
    const again = () => {
      if (location.hash.length > 1 && location.hash !== "#content") arrive();
    };
    addEventListener("hashchange", again);
    return () => removeEventListener("hashchange", again);
  }, []);

  const joining = secret.value !== null || route.value.page === "join";
  const done = () => {
    secret.value = null;
  };
  const forget = () => {
    link.value = null;
  };
  return (
    <Frame bare={CANVAS.has(route.value.page)}>
      {me.value === undefined ? (
        <Loading />
      ) : joining ? (
        <Join key={secret.value} secret={secret.value} onDone={done} />
      ) : me.value === null ? (
        <SignIn why={why.value} />
      ) : (
        <Place />
      )}
      {link.value && <AskFirst {...link.value} onClose={forget} />}
    </Frame>
  );
}

startTheme();
startPerson();
startRouter();
startKeys();
startUnderWay();
const page = document.getElementById("page");
if (page) render(<App />, page);
