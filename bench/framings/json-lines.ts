import { StringDecoder } from 'node:string_decoder';
import { jsonLines as jsonLinesCodec } from '../../lib/index.js';
import { rawSocket } from '../ends.js';
import type { Framing } from '../framing.js';
import { receiving } from '../frames.js';
import { split2 } from '../npm.js';

interface Quote {
  readonly symbol: string;
  readonly bid: number;
  readonly ask: number;
  readonly at: string;
}

const message: Quote = { symbol: 'EURUSD', bid: 1.0843, ask: 1.0845, at: '10:00:00' };
const wire = Buffer.from(`${JSON.stringify(message)}\n`);
const size = ({ symbol, at }: Quote): number => symbol.length + at.length;

export const jsonLines: Framing<Quote> = {
  name: 'jsonLines',
  codec: jsonLinesCodec<Quote>(),
  message,
  wire,
  size,
  encode: (quote) => `${JSON.stringify(quote)}\n`,
  decoder: (frame) => {
    const text = new StringDecoder('utf8');
    let rest = '';
    return (chunk) => {
      const whole = (rest + text.write(chunk)).split('\n');
      rest = whole.pop() ?? '';
      for (const line of whole) frame(JSON.parse(line) as Quote);
    };
  },
  decodeRivals: [
    {
      name: 'split2',
      needs: 'split2',
      run: receiving({ wire, size: size(message) }, async (port, frame) => {
        const socket = await rawSocket(port);
        socket.pipe(split2()).on('data', (line: string) => frame(size(JSON.parse(line) as Quote)));
      }),
    },
  ],
};
