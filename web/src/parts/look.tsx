// Small things to look at: progress, empty states, cards, tables, what is being loaded.

import type { ComponentChildren } from "preact";
import { texts } from "../texts";

/** How much of a whole is done. */
export function Progress({ value, max, label }: { value: number; max: number; label: string }) {
  return <progress value={value} max={Math.max(max, 1)} aria-label={label} />;
}

/** Nothing is here yet: what that means, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

interface CardProps {
  title: string;
  children: ComponentChildren;
  beside?: ComponentChildren;
  class?: string;
}

/** A titled part of a page. */
export function Card({ title, children, beside, class: name = "" }: CardProps) {
  return (
    <section class={`card ${name}`} aria-label={title}>
      <header class="card-head">
        <h2>{title}</h2>
        {beside && <div class="actions">{beside}</div>}
      </header>
      {children}
    </section>
  );
}

/** Rows under headings; wide ones scroll, by keyboard too. */
export function Table({
  label,
  head,
  children,
}: {
  label: string;
  head: readonly string[];
  children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <section class="scroll" tabIndex={0}>
      <table aria-label={label}>
        <thead>
          <tr>
            {head.map((name) =>
              name ? (
                <th key={name} scope="col">
                  {name}
                </th>
              ) : (
                <td key={name} />
              ),
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}

/** It is coming. */
export function Loading() {
  return (
    <p class="loading quiet" role="status">
      {texts.loading}
    </p>
  );
}
