/** Beside the image: where its mask comes from, how it is looked at, what can be done with it. */

import type { ComponentChildren } from "preact";
import type { PredictionOut } from "../engine/orders";
import { PALETTE } from "../engine/overlay";
import { levelAndWidth, type Window, withLevel } from "../engine/window";
import { Button } from "../parts/button";
import { useTyped } from "../parts/form";
import { texts } from "../texts";
import { type Action, titleOf } from "./commands";
import { Icon } from "./icons";
import { css } from "./ink";
import { look } from "./settings";

const words = texts.annotate;

/** Which model and context made the mask that the image opened with. */
export function Origin({
  prediction,
  control,
}: {
  prediction: PredictionOut | null;
  control: boolean | null;
}) {
  return (
    <section class="origin">
      <h2>{words.origin}</h2>
      {prediction ? (
        <p>
          {words.made(prediction.context_size)}{" "}
          <span class="quiet">({words.version(prediction.context_version)})</span>
          <br />
          <span class="quiet">{words.uncertainty(prediction.uncertainty)}</span>
        </p>
      ) : (
        <p class="quiet">{words.waiting}</p>
      )}
      {control && <p class="quiet">{words.control}</p>}
    </section>
  );
}

export function Labels({
  all,
  current,
  choose,
}: {
  all: readonly { id: number; name: string }[];
  current: number;
  choose: (id: number) => void;
}) {
  if (all.length < 2) return null;
  return (
    <section>
      <h2>{words.groups.labels}</h2>
      <div class="labels">
        {all.slice(0, 9).map((label, i) => (
          <button
            key={label.id}
            type="button"
            aria-pressed={label.id === current}
            title={words.label(i + 1, label.name)}
            onClick={() => label.id !== current && choose(label.id)}
          >
            <Dot index={i} /> {label.name} <kbd>{i + 1}</kbd>
          </button>
        ))}
      </div>
    </section>
  );
}

/** The colour of a label; set through the style's own interface, as the content policy wants. */
function Dot({ index }: { index: number }) {
  return (
    <span
      class="dot"
      aria-hidden="true"
      ref={(dot) => dot?.style.setProperty("--dot", css(PALETTE[index % PALETTE.length]))}
    />
  );
}

interface DisplayProps {
  readonly window: Window | null;
  readonly opened: Window | null;
  readonly grey: boolean;
  readonly windowed: (window: Window) => void;
}

export function Display({ window, opened, grey, windowed }: DisplayProps) {
  const { opacity, outlined } = look.value;
  return (
    <section class="display">
      <h2>{words.groups.view}</h2>
      <label class="slider">
        {words.opacity}
        <input
          type="range"
          min={10}
          max={100}
          value={Math.round(opacity * 100)}
          onInput={({ currentTarget }) => {
            look.value = { ...look.value, opacity: Number(currentTarget.value) / 100 };
          }}
        />
      </label>
      <label class="check" title={titleOf("outline")}>
        <input
          type="checkbox"
          checked={outlined}
          onChange={({ currentTarget }) => {
            look.value = { ...look.value, outlined: currentTarget.checked };
          }}
        />
        {words.outline}
      </label>
      {window && grey && <WindowLevel window={window} opened={opened} windowed={windowed} />}
    </section>
  );
}

function WindowLevel({ window, opened, windowed }: Omit<DisplayProps, "grey"> & { window: Window }) {
  const { level, width } = levelAndWidth(window);
  return (
    <div class="window">
      <Value
        name={words.level}
        value={level}
        onValue={(value) => windowed(withLevel(window, value, width))}
      />
      <Value
        name={words.width}
        value={width}
        onValue={(value) => windowed(withLevel(window, level, value))}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={window.inverted}
          onChange={() => windowed({ ...window, inverted: !window.inverted })}
        />
        {words.invert}
      </label>
      <Button kind="plain" disabled={!opened} onPress={() => opened && windowed(opened)}>
        {words.resetWindow}
      </Button>
    </div>
  );
}

interface ValueProps {
  readonly name: string;
  readonly value: number;
  readonly onValue: (value: number) => void;
}

/** A number of the window, to a tenth; it stays as it was where none is given. */
function Value({ name, value, onValue }: ValueProps) {
  const shown = String(Math.round(value * 10) / 10);
  const typed = useTyped(shown, (text) => text !== "" && onValue(Number(text)));
  return (
    <label class="number-field">
      {name}
      <input type="number" step="any" {...typed} />
    </label>
  );
}

/** A button of an action, with its picture and its name. */
export function Act({
  of,
  run,
  children,
  disabled = false,
}: {
  of: Action;
  run: () => void;
  children?: ComponentChildren;
  disabled?: boolean;
}) {
  return (
    <button type="button" title={titleOf(of)} onClick={run} disabled={disabled}>
      <Icon of={of} />
      {children}
    </button>
  );
}
