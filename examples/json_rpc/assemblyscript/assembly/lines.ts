// Lines of text on standard input and output.

let buffer = new ArrayBuffer(4096);
let filled = 0; // bytes of the buffer that were read and belong to no line yet

/** The next line without its end; null when the input has ended. */
export function readLine(): string | null {
  let searched = 0;
  while (true) {
    const bytes = Uint8Array.wrap(buffer);
    const end = bytes.subarray(0, filled).indexOf(10, searched);
    if (end >= 0) {
      const line = String.UTF8.decode(buffer.slice(0, end));
      bytes.copyWithin(0, end + 1, filled);
      filled -= end + 1;
      return line;
    }
    searched = filled;
    if (filled == buffer.byteLength) {
      const larger = new Uint8Array(2 * filled);
      larger.set(bytes);
      buffer = larger.buffer;
    }
    const count = process.stdin.read(buffer, filled);
    if (count == 0) return null;
    filled += count;
  }
}

export function writeLine(line: string): void {
  process.stdout.write(line + "\n");
}
