// Files from and to this computer: folders that are dropped, digests, downloads.

/** A file and its path inside the folder that it came with. */
export interface Found {
  file: File;
  path: string;
  /** Of masks: the number of their label; none for label maps. */
  label?: string;
}

const byName = new Intl.Collator("en", { numeric: true });

/** Without what systems hide in folders, in the order in which people count: 2 before 10. */
export function inOrder(found: readonly Found[]): Found[] {
  return found
    .filter(({ path }) => !path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX"))
    .sort((a, b) => byName.compare(a.path, b.path));
}

/** What an input of type file holds. */
export function chosen(input: HTMLInputElement): Found[] {
  return inOrder(
    [...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name })),
  );
}

/** What was dropped, folders with all that is in them. */
export async function dropped(transfer: DataTransfer): Promise<Found[]> {
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry?.())
    .filter((entry) => entry != null);
  if (!entries.length) return inOrder([...transfer.files].map((file) => ({ file, path: file.name })));
  return inOrder((await Promise.all(entries.map(filesOf))).flat());
}

async function filesOf(entry: FileSystemEntry): Promise<Found[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Found[] = [];
  for (;;) {
    // A reader tells at most a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(filesOf))).flat());
  }
}

/** The SHA-256 of a file, or null where the browser has none: without https, and not on this computer. */
export async function digestOf(file: File): Promise<string | null> {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hands a file to the browser's downloads. */
export function download(name: string, content: Blob | string): void {
  const blob = typeof content === "string" ? new Blob([content], { type: "text/csv" }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
