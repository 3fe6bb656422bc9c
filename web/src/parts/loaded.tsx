// What a page reads from the service: loading, there, or why not; and components that are loaded when shown.

import type { ComponentChildren, ComponentType } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { texts } from "../texts";
import { Button } from "./button";
import { Empty, Loading } from "./look";

export interface Read<T> {
  data: T | undefined;
  error: Error | undefined;
  again: () => Promise<void>;
  set: (data: T) => void;
}

/**
 * What `read` tells, read again when `deps` change; the newest reading wins. What was read is shown until then: who
 * reads of something else begins anew, with a `key`.
 */
export function useRead<T>(read: () => Promise<T>, deps: readonly unknown[]): Read<T> {
  const [found, setFound] = useState<{ data?: T; error?: Error }>({});
  const newest = useRef(0);
  const again = useCallback(async () => {
    const mine = ++newest.current;
    try {
      const data = await read();
      if (mine === newest.current) setFound({ data });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (mine === newest.current) setFound((before) => ({ ...before, error }));
    }
  }, deps as unknown[]);
  useEffect(() => {
    again();
    return () => {
      newest.current++;
    };
  }, [again]);
  return { data: found.data, error: found.error, again, set: (data) => setFound({ data }) };
}

/** Shows what was read; or that it is being read, or why it could not be. */
export function Shown<T>({ of, children }: { of: Read<T>; children: (data: T) => ComponentChildren }) {
  if (of.data !== undefined) return <>{children(of.data)}</>;
  if (!of.error) return <Loading />;
  return (
    <Empty title={texts.failed}>
      <p>{of.error.message}</p>
      <Button onPress={of.again}>{texts.retry}</Button>
    </Empty>
  );
}

/**
 * A component whose code is fetched when it is first shown. What a browser could not fetch it does not fetch
 * again (whatwg/html#10327), and after an upgrade it is there under another name: both need a reload.
 */
export function lazily<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let module: Promise<ComponentType<P>> | undefined;
  return function Lazy(props: P) {
    const read = useRead(async () => {
      module ??= load();
      return { Found: await module };
    }, []);
    if (!read.error) return <Shown of={read}>{({ Found }) => <Found {...props} />}</Shown>;
    return (
      <Empty title={texts.failed}>
        <p>{texts.unfetched}</p>
        <Button onPress={() => location.reload()}>{texts.reload}</Button>
      </Empty>
    );
  };
}
