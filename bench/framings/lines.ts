import { createInterface } from 'node:readline';
import { StringDecoder } from 'node:string_decoder';
import { lines as linesCodec } from '../../lib/index.js';
import { receiving } from '../frames.js';
import { rawSocket } from '../ends.js';
import type { Framing } from '../framing.js';
import { split2 } from '../npm.js';

const message = 'x'.repeat(64);
const wire = Buffer.from(`${message}\n`);
const load = { wire, size: message.length };

/** Each line has memory of its own, as by default. */
export const lines: Framing<string> = {
  name: 'lines',
  codec: linesCodec(),
  message,
  wire,
  size: (line) => line.length,
  encode: (line) => `${line}\n`,
  decoder: (frame) => {
    const text = new StringDecoder('utf8');
    let rest = '';
    return (chunk) => {
      const whole = (rest + text.write(chunk)).split('\n');
      rest = whole.pop() ?? '';
      for (const line of whole) frame(line);
    };
  },
  decodeRivals: [
    {
      name: 'split2',
      needs: 'split2',
      run: receiving(load, async (port, frame) => {
        const socket = await rawSocket(port);
        socket.pipe(split2()).on('data', (line: string) => frame(line.length));
      }),
    },
    {
      name: 'readline',
      run: receiving(load, async (port, frame) => {
        const input = await rawSocket(port);
        createInterface({ input, crlfDelay: Infinity }).on('line', (line) => frame(line.length));
      }),
    },
  ],
  encodeGoals: [{ bound: 4_000_000 }],
  decodeGoals: [
    { against: 'split2', bound: 1.3 },
    { against: 'readline', bound: 1.6 },
  ],
};

/** Each line is a slice of its chunk's text, as with split2 and readline. */
export const linesSliced: Framing<string> = {
  ...lines,
  name: 'lines, copy: false',
  codec: linesCodec({ copy: false }),
};
