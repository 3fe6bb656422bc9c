// Numbers of things, in English.

/** A number of things: 1 image, 2 images. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
