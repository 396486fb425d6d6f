/** Rows that are drawn again in place, below lines that stay; without a terminal, a plain line now and then. */
import { interval } from 'rxjs';

export interface LiveView {
  /** Prints a line that stays. */
  log(line: string): void;
  /** Draws the rows a last time. */
  close(): void;
}

const UP = (rows: number) => (rows === 0 ? '' : `\x1b[${rows}A`);
const CLEAR_BELOW = '\x1b[J';

export function liveView(
  rows: () => readonly string[],
  print: (line: string) => void,
  stdout: Pick<typeof process.stdout, 'isTTY' | 'columns' | 'write'> = process.stdout,
): LiveView {
  return stdout.isTTY ? drawn() : printed();

  function drawn(): LiveView {
    let height = 0;
    const draw = (...above: string[]): void => {
      // A row that the terminal wraps would count as two.
      const below = rows().map((row) => row.slice(0, stdout.columns - 1));
      // In one write, so that it does not flicker.
      stdout.write(UP(height) + CLEAR_BELOW + [...above, ...below].map((line) => `${line}\n`).join(''));
      height = below.length;
    };
    const redraw = interval(100).subscribe(() => draw());
    return {
      log: (line) => draw(line),
      close: () => {
        redraw.unsubscribe();
        draw();
      },
    };
  }

  function printed(): LiveView {
    const line = (): void => print(rows().join(' | '));
    const again = interval(1_000).subscribe(line);
    return { log: print, close: () => again.unsubscribe() };
  }
}

const BARS = '▁▂▃▄▅▆▇█';

/** A bar for each number, the highest at `most`. */
export function bars(numbers: readonly number[], most: number): string {
  return numbers.map((n) => BARS[Math.min(BARS.length - 1, Math.round((n / most) * (BARS.length - 1)))]).join('');
}
