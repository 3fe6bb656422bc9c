// The frame around every page: who one is, where one is, what the keys are.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { away, outdated } from "../api/client";
import { Button } from "../parts/button";
import { texts } from "../texts";
import { SignInAgain } from "./door";
import { Help } from "./help";
import { type Command, useCommands } from "./keys";
import { me, signOut } from "./person";
import { go, route } from "./router";
import { type Theme, theme } from "./theme";
import { Toasts } from "./toasts";

const NEXT: Record<Theme, Theme> = { system: "dark", dark: "light", light: "system" };
const SIGNS: Record<Theme, string> = { system: "◐", dark: "●", light: "○" };

function turnTheme(): void {
  theme.value = NEXT[theme.value];
}

/** What had the focus may be gone with the page that is left: the next one begins at its beginning. */
function useFocusOfNext() {
  const content = useRef<HTMLElement>(null);
  const arrived = useRef(false);
  useEffect(() => {
    const lost = document.activeElement === document.body;
    const wanted = content.current?.querySelector<HTMLElement>("[autofocus]") ?? content.current;
    if (arrived.current && lost) wanted?.focus();
    arrived.current = true;
  }, [route.value]);
  return content;
}

function Outdated() {
  return (
    <>
      {texts.outdated} <Button onPress={() => location.reload()}>{texts.reload}</Button>
    </>
  );
}

/** Header, content, messages, and the dialogs that can lie over any page. */
export function Frame({ children, bare = false }: { children: ComponentChildren; bare?: boolean }) {
  const help = useSignal(false);
  const content = useFocusOfNext();
  const general = useMemo<Command[]>(() => {
    const group = texts.help.general;
    const named = texts.help.commands;
    return [
      {
        id: "help",
        group,
        text: named.help,
        keys: ["?", "F1"],
        run: () => {
          help.value = true;
        },
      },
      { id: "theme", group, text: named.theme, keys: ["Alt+T"], run: turnTheme },
      { id: "projects", group, text: named.projects, keys: ["Alt+P"], run: () => go("/") },
    ];
  }, []);
  useCommands(general);
  return (
    <>
      <a class="skip" href="#content">
        {texts.skip}
      </a>
      <header class="top">
        <a class="brand" href="/" aria-label={`${texts.brand}: ${texts.frame.projects}`}>
          <img src="/icon.svg" alt="" width={24} height={24} />
          {texts.brand}
        </a>
        {(away.value || outdated.value) && (
          <p class="banner" role="status">
            {away.value ? texts.away : <Outdated />}
          </p>
        )}
        <div class="actions">
          <Button
            kind="plain"
            aria-label={texts.frame.theme[theme.value]}
            title={texts.frame.theme[theme.value]}
            onPress={turnTheme}
          >
            {SIGNS[theme.value]}
          </Button>
          <Button
            kind="plain"
            aria-label={texts.frame.help}
            title={`${texts.frame.help} (?)`}
            onPress={() => {
              help.value = true;
            }}
          >
            ?
          </Button>
          {me.value && (
            <>
              <a id="who" href="/account" title={texts.frame.account}>
                {me.value.name}
              </a>
              <Button kind="plain" onPress={signOut}>
                {texts.frame.signOut}
              </Button>
            </>
          )}
        </div>
      </header>
      <main ref={content} id="content" class={bare ? "bare" : ""} tabIndex={-1}>
        {children}
      </main>
      <Toasts />
      {help.value && (
        <Help
          onClose={() => {
            help.value = false;
          }}
        />
      )}
      <SignInAgain />
    </>
  );
}
