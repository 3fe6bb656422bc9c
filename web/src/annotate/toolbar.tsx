/** The tools, at the image's edge: each with its picture, its name and its key. */

import { PROMPT_TOOLS } from "../engine/prompts";
import { texts } from "../texts";
import type { Bench } from "./bench";
import { ACTIONS, type Action, type Does, titleOf } from "./commands";
import { Icon } from "./icons";
import { positive, sizes, tool } from "./settings";
import { hasSign, hasSize, PAINT_TOOLS, type Tool } from "./tools";

const words = texts.annotate;

interface Props {
  readonly does: Does;
  readonly bench: Bench | null;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
}

export function Toolbar({ does, bench, canUndo, canRedo }: Props) {
  const act = (action: Action, disabled = false) => (
    <button
      type="button"
      aria-label={ACTIONS[action].text}
      title={titleOf(action)}
      disabled={disabled}
      onClick={() => does[action]?.()}
    >
      <Icon of={action} />
    </button>
  );
  return (
    <div class="toolbar" role="toolbar" aria-label={words.groups.tools} aria-orientation="vertical">
      <div class="group">
        {PROMPT_TOOLS.map((each) => (
          <Choice key={each} of={each} />
        ))}
      </div>
      <Sign />
      <div class="group">
        {PAINT_TOOLS.map((each) => (
          <Choice key={each} of={each} />
        ))}
      </div>
      <Width bench={bench} />
      <div class="group">
        {act("fill-holes")}
        {act("keep-largest")}
      </div>
      <div class="group">
        {act("undo", !canUndo)}
        {act("redo", !canRedo)}
      </div>
      <div class="group">
        <Choice of="window" />
        {act("fit")}
      </div>
    </div>
  );
}

function Choice({ of }: { of: Tool }) {
  return (
    <button
      type="button"
      aria-label={words.tools[of]}
      aria-pressed={tool.value === of}
      title={titleOf(of)}
      onClick={() => {
        tool.value = of;
      }}
    >
      <Icon of={of} />
    </button>
  );
}

/** Whether what is drawn says object or not; told by sign, shape and colour. */
function Sign() {
  const of = positive.value;
  return (
    <button
      type="button"
      class={of ? "sign positive" : "sign negative"}
      aria-label={of ? words.object : words.ground}
      aria-pressed={!of}
      title={titleOf("sign")}
      disabled={!hasSign(tool.value)}
      onClick={() => {
        positive.value = !of;
      }}
    >
      {of ? "+" : "−"}
    </button>
  );
}

function Width({ bench }: { bench: Bench | null }) {
  sizes.value; // drawn again when it changes
  const size = bench?.size() ?? 0;
  const off = !hasSize(tool.value);
  return (
    <div class="group size">
      <button
        type="button"
        aria-label={words.larger}
        title={titleOf("larger")}
        disabled={off}
        onClick={() => bench?.grow(1)}
      >
        ]
      </button>
      <output aria-label={words.size}>{off ? texts.nothing : size}</output>
      <button
        type="button"
        aria-label={words.smaller}
        title={titleOf("smaller")}
        disabled={off}
        onClick={() => bench?.grow(-1)}
      >
        [
      </button>
    </div>
  );
}
