// Forms: a field is a label with its control; what is refused is said in the form, which stays as it is.

import type { ComponentChildren, JSX, TargetedEvent } from "preact";
import { useId, useState } from "preact/hooks";

interface FieldProps {
  label: string;
  hint?: string;
  children: (control: { id: string; "aria-describedby"?: string }) => ComponentChildren;
}

/** A label over a control, with a hint below it. */
export function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...described })}
      {hint && (
        <small id={`${id}-hint`} class="quiet">
          {hint}
        </small>
      )}
    </div>
  );
}

type Typing = TargetedEvent<HTMLInputElement | HTMLTextAreaElement>;
type InputProps = JSX.IntrinsicElements["input"] & { label: string; hint?: string };

/** A field of one line. */
export function TextField({ label, hint, ...rest }: InputProps) {
  return (
    <Field label={label} {...(hint ? { hint } : {})}>
      {(control) => <input {...rest} {...control} />}
    </Field>
  );
}

/** Empties a field of what was sent; what has been typed since stays. */
export const without = (sent: string) => (now: string) => (now === sent ? "" : now);

/** What an input shows whose text is taken when it is left; what comes meanwhile does not overwrite what is typed. */
export function useTyped(value: string, take: (text: string) => unknown) {
  const [typed, setTyped] = useState<string | null>(null);
  const forget = (text: string) => setTyped((now) => (now === text ? null : now));
  return {
    value: typed ?? value,
    onInput: ({ currentTarget }: Typing) => setTyped(currentTarget.value),
    onChange: async ({ currentTarget }: Typing) => {
      const text = currentTarget.value;
      await take(text);
      forget(text);
    },
    onBlur: () => forget(value),
  };
}

interface ChoiceProps<T extends string> {
  label: string;
  hint?: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChoice: (value: T) => void;
  disabled?: boolean;
}

/** One of a few. */
export function Choice<T extends string>({
  label,
  hint,
  value,
  options,
  onChoice,
  disabled = false,
}: ChoiceProps<T>) {
  return (
    <Field label={label} {...(hint ? { hint } : {})}>
      {(control) => (
        <select
          disabled={disabled}
          {...control}
          value={value}
          onChange={(event) => onChoice(event.currentTarget.value as T)}
        >
          {options.map(([name, text]) => (
            <option key={name} value={name} selected={name === value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface CheckProps {
  label: string;
  checked: boolean;
  onChoice: (checked: boolean) => void;
  disabled?: boolean;
}

/** Yes or no. */
export function Check({ label, checked, onChoice, disabled = false }: CheckProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChoice(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

interface FormProps {
  onSend: () => Promise<unknown>;
  submit: ComponentChildren;
  children?: ComponentChildren;
  class?: string;
  disabled?: boolean;
  beside?: ComponentChildren;
  kind?: "primary" | "normal" | "danger";
}

/** A form that is sent once at a time. */
export function Form({
  onSend,
  submit,
  children,
  class: name = "",
  disabled = false,
  beside,
  kind = "primary",
}: FormProps) {
  const [refusal, setRefusal] = useState("");
  const [busy, setBusy] = useState(false);
  async function sendIt(event: Event): Promise<void> {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setRefusal("");
    try {
      await onSend();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      setRefusal(error.message);
    } finally {
      setBusy(false);
    }
  }
  return (
    <form class={`form ${name}`} onSubmit={sendIt}>
      {children}
      <p role="alert" class="refusal">
        {refusal}
      </p>
      <div class="actions">
        <button type="submit" class={kind} disabled={disabled} aria-busy={busy}>
          {submit}
        </button>
        {beside}
      </div>
    </form>
  );
}
