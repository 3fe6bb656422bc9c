import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { listen } from "../src/api/listening";

/** The event streams that are open, oldest first. */
let open: Stream[] = [];

class Stream extends EventTarget {
  static readonly CLOSED = 2;
  readyState = 1;
  onerror = () => {};

  constructor(readonly path: string) {
    super();
    open.push(this);
  }

  close(): void {
    this.readyState = Stream.CLOSED;
    open = open.filter((each) => each !== this);
  }

  tell(kind: string, data = ""): void {
    this.dispatchEvent(Object.assign(new Event(kind), { data }));
  }

  /** The service would not have it. */
  refuse(): void {
    this.close();
    this.onerror();
  }
}

class Tab extends EventTarget {
  hidden = false;

  turn(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

let tab: Tab;
const hear = vi.fn();
const missed = vi.fn();

beforeEach(() => {
  open = [];
  tab = new Tab();
  vi.useFakeTimers();
  vi.stubGlobal("document", tab);
  vi.stubGlobal("EventSource", Stream);
  vi.clearAllMocks();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const listening = () => listen("/api/events", ["accepted"], hear, missed);

test("a tab takes up a connection for as long as it is seen, and is told what it may have missed", () => {
  const stop = listening();
  open[0].tell("listening"); // what came after the page had read and before this
  expect(missed).toHaveBeenCalledOnce();
  open[0].tell("accepted");
  expect(hear).toHaveBeenCalledOnce();
  tab.turn(true);
  expect(open).toEqual([]);
  tab.turn(false);
  expect(open.map(({ path }) => path)).toEqual(["/api/events"]);
  expect(missed).toHaveBeenCalledOnce();
  open[0].tell("listening");
  expect(missed).toHaveBeenCalledTimes(2);
  stop();
  expect(open).toEqual([]);
  tab.turn(false);
  expect(open).toEqual([]);
});

test("a tab that is opened behind another waits until it is seen", () => {
  tab.hidden = true;
  listening();
  expect(open).toEqual([]);
  tab.turn(false);
  open[0].tell("listening");
  expect(missed).toHaveBeenCalledOnce();
});

test("who was told off asks again later, unless nobody looks any more", () => {
  listening();
  open[0].refuse();
  vi.advanceTimersByTime(5000);
  open[0].tell("listening");
  expect(missed).toHaveBeenCalledOnce();
  open[0].refuse();
  tab.turn(true);
  vi.advanceTimersByTime(60_000);
  expect(open).toEqual([]);
});
